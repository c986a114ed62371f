import { isIpv6 } from '@swarm/api';
import { type CheckedPeer, samePeer } from '../checked.js';
import {
  PEER_MARK_MASK,
  peerMac,
  peerMark,
  TUNNEL_DEVICE,
  TUNNEL_VNI,
  ZONE_BASE,
} from '../layout.js';
import { nodeAddress } from '../address.js';
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

  rules({ self, dataPathPort }: TablePlace): SectionRules {
    const tunnel = `"${TUNNEL_DEVICE}"`;
    const mask = `0x${PEER_MARK_MASK.toString(16)}`;
    return {
      sets: [
        'map peers { type ether_addr : mark; }',
        'map zones { typeof ether saddr : ct zone; }',
        'set underlay { type ipv4_addr; }',
        'set homeward { type ipv4_addr . ipv4_addr; flags interval; }',
      ],
      chains:
        chainText('arrive', ['ct original zone set ether saddr map @zones']) +
        chainText('depart', ['tcp flags syn tcp option maxseg size set rt mtu', 'meta mark set 0']),
      rules: {
        zone: [`iifname ${tunnel} jump arrive`],
        origin: [
          `iifname ${tunnel} ct state new ct direction original ct mark set ether saddr map @peers`,
          `ip saddr ${self.subnet} iifname != ${tunnel} ct direction reply ct mark & ${mask} != 0 meta mark set ct mark`,
        ],
        received: [`udp dport ${dataPathPort} @th,96,24 ${TUNNEL_VNI} ip saddr != @underlay drop`],
        translate_source: [`ip saddr . ip daddr @homeward snat to ${nodeAddress(self.subnet)}`],
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
    for (const [set, element] of peerElements(peer)) changes.delete(set, keyOf(element));
  }
  for (const [nodeId, peer] of after) {
    if (samePeer(peer, before.get(nodeId))) continue;
    for (const [set, element] of peerElements(peer)) changes.add(set, element);
  }
}

function* peerElements(peer: CheckedPeer): Generator<[SetName, string]> {
  // Nothing comes from it through the tunnel, and it may share its address with others.
  if (peer.userspace) return;
  yield ['peers', `${peerMac(peer.index)} : 0x${peerMark(peer.index).toString(16)}`];
  yield ['zones', `${peerMac(peer.index)} : ${ZONE_BASE + peer.index}`];
  if (!isIpv6(peer.address)) {
    yield ['underlay', peer.address];
    yield ['homeward', `${peer.address} . ${peer.subnet}`];
  }
}
