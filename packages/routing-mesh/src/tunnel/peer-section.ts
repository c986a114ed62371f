import { isIpv6 } from '@swarm/api';
import { type CheckedPeer, samePeer } from '../checked.js';
import {
  PEER_MARK_MASK,
  peerMac,
  peerMark,
  type NftFamily,
  TUNNEL_DEVICE,
  TUNNEL_VNI,
  ZONE_BASE,
} from '../layout.js';
import { ingressIpv6, ingressIpv6Subnet, nodeAddress } from '../address.js';
import { type ElementChanges, keyOf, type SetName } from '../table/element-changes.js';
import { chainText } from '../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';

type Peers = ReadonlyMap<string, CheckedPeer>;

const NO_PEERS: Peers = new Map();

/**
 * The tunnel's part of the table.
 *
 * - `zone`, `origin`: the tunnel's source MAC names the node through which a connection came. It becomes the
 *   connection's mark, which routes replies back through that node, and the zone of its original
 *   direction, since a client may use one source port towards two nodes and end at the same task.
 * - `received`: drops tunnel packets from addresses that belong to no node.
 * - `sent`: one of our marks must not route the tunnel's own packet; segments fit into the tunnel.
 * - `homeward`: a node that reaches its own task through another one gets that one's address, because the
 *   reply would otherwise end in its own stack.
 */
export class PeerSection implements TableSection {
  #wanted = NO_PEERS;
  /** What the table last received. */
  #told = NO_PEERS;

  follow(peers: Peers): void {
    this.#wanted = peers;
  }

  addAll(changes: ElementChanges): void {
    peerChanges(changes, NO_PEERS, this.#wanted);
  }

  takeChanges(changes: ElementChanges): void {
    peerChanges(changes, this.#told, this.#wanted);
    this.#told = this.#wanted;
  }

  rules({ self, dataPathPort, family }: TablePlace): SectionRules {
    const inV6 = (...lines: readonly string[]) => (family === 'inet' ? lines : []);
    const own = nodeAddress(self.subnet);
    const arrived = `udp dport ${dataPathPort} @th,96,24 ${TUNNEL_VNI}`;
    const tunnel = `"${TUNNEL_DEVICE}"`;
    const mask = `0x${PEER_MARK_MASK.toString(16)}`;
    return {
      sets: [
        'map peers { type ether_addr : mark; }',
        'map zones { typeof ether saddr : ct zone; }',
        'set underlay { type ipv4_addr; }',
        'set homeward { type ipv4_addr . ipv4_addr; flags interval; }',
        ...inV6(
          'set underlay_v6 { type ipv6_addr; }',
          'set homeward_v6 { type ipv6_addr . ipv6_addr; flags interval; }',
        ),
      ],
      chains:
        chainText('arrive', ['ct original zone set ether saddr map @zones']) +
        chainText('depart', ['tcp flags syn tcp option maxseg size set rt mtu', 'meta mark set 0']),
      rules: {
        zone: [`iifname ${tunnel} jump arrive`],
        origin: [
          `iifname ${tunnel} ct state new ct direction original ct mark set ether saddr map @peers`,
          `ip saddr ${self.subnet} iifname != ${tunnel} ct direction reply ct mark & ${mask} != 0 meta mark set ct mark`,
          ...inV6(
            `ip6 saddr ${ingressIpv6Subnet(self.subnet)} iifname != ${tunnel} ct direction reply ct mark & ${mask} != 0 meta mark set ct mark`,
          ),
        ],
        received: [
          `${arrived} ip saddr != @underlay drop`,
          ...inV6(`${arrived} ip6 saddr != @underlay_v6 drop`),
        ],
        translate_source: [
          `ip saddr . ip daddr @homeward snat ip to ${own}`,
          ...inV6(`ip6 saddr . ip6 daddr @homeward_v6 snat ip6 to ${ingressIpv6(own)}`),
        ],
        sent: [`oifname ${tunnel} jump depart`],
      },
      referred: ['arrive', 'depart'],
    };
  }
}

/** Adds the changes that turn the peers of `before` into those of `after`. */
export function peerChanges(changes: ElementChanges, before: Peers, after: Peers): void {
  if (before === after) return;
  for (const [nodeId, peer] of before) {
    if (samePeer(peer, after.get(nodeId))) continue;
    for (const [set, element] of peerElements(peer, changes.family))
      changes.delete(set, keyOf(element));
  }
  for (const [nodeId, peer] of after) {
    if (samePeer(peer, before.get(nodeId))) continue;
    for (const [set, element] of peerElements(peer, changes.family)) changes.add(set, element);
  }
}

function* peerElements(peer: CheckedPeer, family: NftFamily): Generator<[SetName, string]> {
  // Nothing comes from it through the tunnel, and it may share its address with others.
  if (peer.userspace) return;
  yield ['peers', `${peerMac(peer.index)} : 0x${peerMark(peer.index).toString(16)}`];
  yield ['zones', `${peerMac(peer.index)} : ${ZONE_BASE + peer.index}`];
  if (!isIpv6(peer.address)) {
    yield ['underlay', peer.address];
    yield ['homeward', `${peer.address} . ${peer.subnet}`];
  }
  if (family !== 'inet') return;
  if (isIpv6(peer.address)) yield ['underlay_v6', peer.address];
  const block = ingressIpv6Subnet(peer.subnet);
  for (const address of peer.addressesV6) yield ['homeward_v6', `${address} . ${block}`];
}
