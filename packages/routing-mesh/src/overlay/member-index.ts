import type { IpAddress } from '@swarm/api';
import { type CheckedMember, type CheckedPeer, samePeer } from '../checked.js';
import type { NetworkId, TaskId } from '../layout.js';
import { isIn, type LocalNetwork, type LocalNetworks } from './local-networks.js';
import {
  type NetworkTouches,
  type NetworkViews,
  touchedKeys,
  type ViewedMember,
} from './network-view.js';

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

/** All tasks of this node's networks. Says what changed: a task costs something only when it is touched. */
export class MemberIndex {
  readonly #local: LocalNetworks;
  readonly #networks = new Map<NetworkId, Map<TaskId, Entry>>();
  /** This node. */
  selfId = '';

  constructor(local: LocalNetworks) {
    this.#local = local;
  }

  /** @returns what is gone, then what is new or different */
  follow(views: NetworkViews, touched: NetworkTouches): readonly EntryChange[] {
    const gone: EntryChange[] = [];
    const come: EntryChange[] = [];
    for (const networkId of touchedKeys(
      touched && new Set(touched.keys()),
      this.#networks.keys(),
      views.keys(),
    )) {
      const touch = touched?.get(networkId);
      const entries = this.#networks.get(networkId) ?? new Map<TaskId, Entry>();
      const network = this.#local.get(networkId);
      const view = network && views.get(networkId);
      const named = touch === undefined || touch === 'all' ? undefined : touch.members;
      for (const taskId of touchedKeys(named, entries.keys(), view?.members.keys() ?? [])) {
        const before = entries.get(taskId);
        const after = network && this.#next(network, view?.members.get(taskId), before);
        if (before === after) continue;
        if (after === undefined) {
          entries.delete(taskId);
          gone.push({ before, after });
        } else {
          entries.set(taskId, after);
          come.push({ before, after });
        }
      }
      if (entries.size === 0) this.#networks.delete(networkId);
      else this.#networks.set(networkId, entries);
    }
    return [...gone, ...come];
  }

  #next(
    network: LocalNetwork,
    viewed: ViewedMember | undefined,
    before: Entry | undefined,
  ): Entry | undefined {
    if (viewed === undefined) return undefined;
    const { member, addresses } = viewed;
    const peer = this.#away(viewed.peer);
    const isHere = network.tasks.has(member.taskId);
    const isSame =
      before !== undefined &&
      before.member === member &&
      before.isHere === isHere &&
      before.network === network &&
      isSamePlace(before.peer, peer);
    if (isSame) return before;
    const { subnets } = network.overlay;
    const own = addresses.filter((one) => subnets.some((net) => isIn(net, one)));
    return { network, member, peer, isHere, addresses: own };
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
