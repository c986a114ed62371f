import type { IpAddress } from '@swarm/api';
import { nodeAddress } from '../address.js';
import {
  FIRST_MEMBER_ID,
  LAST_MEMBER_ID,
  IPSEC_DEVICE,
  type LinkName,
  type Mac,
  TASK_LINK_PREFIX,
  TUNNEL_DEVICE,
  WIREGUARD_DEVICE,
} from '../layout.js';
import type { ElementChanges } from '../table/element-changes.js';
import { type Family, only } from '../table/family.js';
import { chainText } from '../table/ruleset.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';
import { TrackedElements } from '../table/tracked-elements.js';

/** A task's link to an overlay network. */
export interface WalledLink {
  readonly link: LinkName;
  /** The network's number on this node. */
  readonly network: number;
  readonly isInternal: boolean;
  /** Those of the table's family. */
  readonly addresses: readonly IpAddress[];
}

/** An address of a network's task on another node. */
export interface Sender {
  /** Of its node's tunnel device; absent on an encrypted network, whose device takes addresses from their node alone. */
  readonly mac?: Mac;
  readonly address: IpAddress;
  readonly network: number;
}

/**
 * The walls between overlay networks, of one family. Each network with tasks here has a number, which rules hold in
 * the packet's mark while they look at it.
 *
 * - `from_task`: a packet has an address of its link; what it is sent to belongs to the link's network, or to none.
 *   Nothing else leaves the link of an internal network. Replies may leave, so the node reaches its tasks.
 * - `from_peer`: a tunnel packet to a task here comes from a task of the same network, through that one's node. One to
 *   an address that no task here has is dropped: an ICMP error would end a client's attempt to connect, which may
 *   find another member with its next packet.
 * - `from_sealed`: the same for packets that came encrypted. These come no other way, nor others this way.
 * - `origin_local`: that a task has no link any more, before anybody said so, ends no attempt either.
 * - `forwarded`: nothing comes in from elsewhere, except through ports. What the network's subnet has no route for
 *   ends here, instead of leaving by the host's default route.
 * - `translate_source`: tasks reach the world, and published ports, with the node's address. One that reaches itself
 *   by an address that it does not have sees that as its client: it would take its own for forged.
 */
export class WallSection implements TableSection {
  readonly #family: Family;
  readonly #networks = new TrackedElements('networks');
  readonly #here = new TrackedElements('here');
  /** Keys of the two maps before, as sets: older kernels (6.1 among them) cannot look for a key alone in a map. */
  readonly #subnets = new TrackedElements('subnets');
  readonly #locals = new TrackedElements('locals');
  readonly #own = new TrackedElements('own');
  readonly #joined = new TrackedElements('joined');
  readonly #walled = new TrackedElements('walled');
  readonly #internal = new TrackedElements('internal');
  readonly #senders = new TrackedElements('senders');
  readonly #sealed = new TrackedElements('sealed');
  readonly #selves = new TrackedElements('selves');

  constructor(family: Family) {
    this.#family = family;
  }

  /** Whether there is a network of its family. */
  get isWanted(): boolean {
    return this.#networks.size > 0;
  }

  addNetwork(subnet: string, network: number): void {
    this.#networks.set(subnet, `${network}`);
    this.#subnets.set(subnet);
  }

  deleteNetwork(subnet: string): void {
    this.#networks.delete(subnet);
    this.#subnets.delete(subnet);
  }

  addLink({ link, network, isInternal, addresses }: WalledLink): void {
    const name = `"${link}"`;
    this.#walled.set(name);
    this.#joined.set(`${name} . ${network}`);
    if (isInternal) this.#internal.set(name);
    for (const address of addresses) {
      this.#own.set(`${name} . ${address}`);
      this.#here.set(address, `${network}`);
      this.#locals.set(address);
      this.#selves.set(`${address} . ${address}`);
    }
  }

  deleteLink({ link, network, addresses }: WalledLink): void {
    const name = `"${link}"`;
    this.#walled.delete(name);
    this.#joined.delete(`${name} . ${network}`);
    this.#internal.delete(name);
    for (const address of addresses) {
      this.#own.delete(`${name} . ${address}`);
      this.#here.delete(address);
      this.#locals.delete(address);
      this.#selves.delete(`${address} . ${address}`);
    }
  }

  addSender(sender: Sender): void {
    this.#sendersLike(sender).set(senderKey(sender));
  }

  deleteSender(sender: Sender): void {
    this.#sendersLike(sender).delete(senderKey(sender));
  }

  addAll(changes: ElementChanges): void {
    for (const elements of this.#sets()) elements.addAll(changes);
  }

  takeChanges(changes: ElementChanges): void {
    for (const elements of this.#sets()) elements.takeChanges(changes);
  }

  rules(place: TablePlace): SectionRules {
    const { self, ingressNetwork } = place;
    const ours = only(this.#family, place);
    const { name: ip, addressType: type, version } = this.#family;
    const tunnel = `"${TUNNEL_DEVICE}"`;
    const tasks = `"${TASK_LINK_PREFIX}*"`;
    const unreachable = version === 4 ? 'icmp host-unreachable' : 'icmpv6 addr-unreachable';
    const sealed = `{ "${WIREGUARD_DEVICE}", "${IPSEC_DEVICE}" }`;
    // What the kernel says of an address that it has no link for.
    const nowhere =
      version === 4
        ? ['icmp type destination-unreachable icmp code host-unreachable']
        : ['no-route', 'addr-unreachable'].map(
            (code) => `icmpv6 type destination-unreachable icmpv6 code ${code}`,
          );
    const outward = `oifname != ${tunnel} oifname != ${sealed} oifname != ${tasks}`;
    return {
      sets: [
        `map networks { type ${type} : mark; flags interval; }`,
        `map here { type ${type} : mark; }`,
        `set subnets { type ${type}; flags interval; }`,
        `set locals { type ${type}; }`,
        `set own { type ifname . ${type}; }`,
        'set joined { type ifname . mark; }',
        'set walled { type ifname; }',
        'set internal { type ifname; }',
        `set senders { type ether_addr . ${type} . mark; }`,
        `set sealed { type ${type} . mark; }`,
        `set selves { type ${type} . ${type}; }`,
      ],
      chains:
        chainText('from_task', [
          `iifname @walled iifname . ${ip} saddr != @own drop`,
          `iifname != @walled ${ip} saddr @subnets drop`,
          'ct direction reply return',
          'ct state related return',
          'meta mark set 0',
          `meta mark set ${ip} daddr map @networks`,
          'meta mark 0 iifname @internal drop',
          'meta mark 0 return',
          'iifname . meta mark != @joined drop',
          'meta mark set 0',
        ]) +
        chainText('from_peer', [
          'meta mark set 0',
          `meta mark set ${ip} daddr map @here`,
          `meta mark 0 ${ip} daddr @subnets drop`,
          'meta mark 0 return',
          `ether saddr . ${ip} saddr . meta mark @senders meta mark set 0 return`,
          'ct state related meta mark set 0 return',
          'drop',
        ]) +
        chainText('from_sealed', [
          'meta mark set 0',
          `meta mark set ${ip} daddr map @here`,
          `${ip} saddr . meta mark @sealed meta mark set 0 return`,
          'drop',
        ]),
      rules: {
        origin: [
          `${ours}iifname ${tasks} jump from_task`,
          `${ours}iifname ${tunnel} jump from_peer`,
          `${ours}iifname ${sealed} jump from_sealed`,
        ],
        origin_local: [
          ...nowhere.flatMap((answer) => [
            `oifname ${tunnel} ${answer} drop`,
            `oifname ${sealed} ${answer} drop`,
            `ct status dnat ct mark ${hex(FIRST_MEMBER_ID)}-${hex(LAST_MEMBER_ID)} ${answer} drop`,
          ]),
        ],
        forwarded: [
          `${ours}iifname @walled ct state invalid drop`,
          `${ours}oifname @walled ct state invalid drop`,
          `${ours}oifname @walled iifname != ${tunnel} iifname != ${sealed} iifname != ${tasks} ct state new ct status ! dnat drop`,
          `iifname ${tasks} ${outward} ${ip} daddr @subnets reject with ${unreachable}`,
        ],
        translate_source: [
          ...(version === 4
            ? [
                `ct status dnat ip saddr @locals ip daddr ${ingressNetwork} snat to ${nodeAddress(self.subnet)}`,
              ]
            : []),
          `${ip} saddr . ${ip} daddr @selves snat to ct original ${ip} daddr`,
          `${ip} saddr @locals ${outward} fib saddr type != local masquerade`,
        ],
      },
      referred: ['from_task', 'from_peer', 'from_sealed'],
    };
  }

  #sendersLike({ mac }: Sender): TrackedElements {
    return mac === undefined ? this.#sealed : this.#senders;
  }

  #sets(): readonly TrackedElements[] {
    return [
      this.#networks,
      this.#subnets,
      this.#locals,
      this.#here,
      this.#own,
      this.#joined,
      this.#walled,
      this.#internal,
      this.#senders,
      this.#sealed,
      this.#selves,
    ];
  }
}

function senderKey({ mac, address, network }: Sender): string {
  return `${mac === undefined ? '' : `${mac} . `}${address} . ${network}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
