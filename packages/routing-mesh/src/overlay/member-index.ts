import type { IpAddress } from '@swarm/api';
import { type CheckedMember, type CheckedPeer, samePeer } from '../checked.js';
import { isIn, type LocalNetwork, type LocalNetworks } from './local-networks.js';
import type { NetworkView } from './network-view.js';

/** A task on one network, as this node deals with it. */
export interface Entry {
  readonly network: LocalNetwork;
  readonly member: CheckedMember;
  /** Its node, if that is another one, and this node has a way to it. */
  readonly peer: CheckedPeer | undefined;
  /** Whether it is attached to this node. */
  readonly isHere: boolean;
  /** Those of its addresses that belong to the network. */
  readonly addresses: readonly IpAddress[];
}

export interface EntryChange {
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/** All tasks of this node's networks. Says what changed since the last state: most of them do not. */
export class MemberIndex {
  readonly #local: LocalNetworks;
  readonly #entries = new Map<string, { entry: Entry; round: number }>();
  #round = 0;
  /** This node. */
  selfId = '';

  constructor(local: LocalNetworks) {
    this.#local = local;
  }

  /** @returns what is gone, then what is new or different */
  follow(views: readonly NetworkView[]): readonly EntryChange[] {
    this.#round += 1;
    const gone: EntryChange[] = [];
    const come: EntryChange[] = [];
    for (const { overlay, members } of views) {
      const network = this.#local.get(overlay.networkId);
      if (network === undefined) continue;
      for (const viewed of members) {
        const { member, addresses } = viewed;
        const peer = this.#away(viewed.peer);
        const key = `${overlay.networkId} ${member.taskId}`;
        const isHere = network.tasks.has(member.taskId);
        const known = this.#entries.get(key);
        if (known !== undefined) {
          known.round = this.#round;
          const before = known.entry;
          const isSame =
            before.member === member &&
            before.isHere === isHere &&
            before.network === network &&
            isSamePlace(before.peer, peer);
          if (isSame) continue;
        }
        const entry: Entry = {
          network,
          member,
          peer,
          isHere,
          addresses: addresses.filter((one) => overlay.subnets.some((net) => isIn(net, one))),
        };
        come.push({ before: known?.entry, after: entry });
        this.#entries.set(key, { entry, round: this.#round });
      }
    }
    for (const [key, { entry, round }] of this.#entries) {
      if (round === this.#round) continue;
      this.#entries.delete(key);
      gone.push({ before: entry, after: undefined });
    }
    return [...gone, ...come];
  }

  /** There is no way to a userspace node's tasks, nor to one that is of this node but has no link. */
  #away(peer: CheckedPeer | undefined): CheckedPeer | undefined {
    return peer === undefined || peer.userspace || peer.nodeId === this.selfId ? undefined : peer;
  }
}

function isSamePlace(a: CheckedPeer | undefined, b: CheckedPeer | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a === b || (a.nodeId === b.nodeId && samePeer(a, b) && a.down === b.down && sameMeans(a, b))
  );
}

/** Whether the same device leads there encrypted. */
function sameMeans({ encryption: a }: CheckedPeer, { encryption: b }: CheckedPeer): boolean {
  return a === b || a?.means.join(' ') === b?.means.join(' ');
}
