import type { IpAddress } from '@swarm/api';
import type { CheckedMember, CheckedOverlay } from '../checked.js';
import type { NetworkId, TaskId } from '../layout.js';
import {
  type NetworkTouch,
  type NetworkTouches,
  type NetworkView,
  type NetworkViews,
  touchedKeys,
  type ViewedMember,
  type ViewedService,
} from '../overlay/network-view.js';
import { type BookChange, CHANGES_LIMIT } from './resolver-orders.js';

/** Characters of changes in one order, far below what a frame may have. */
const ORDER_CHARS = 512 * 1024;

interface SentMember {
  readonly member: CheckedMember;
  readonly addresses: readonly IpAddress[];
  readonly isReachable: boolean;
}

interface SentNetwork {
  /** Undefined before it was told. */
  network: BookNetworkFacts | undefined;
  readonly services: Map<string, ViewedService>;
  readonly members: Map<TaskId, SentMember>;
}

interface BookNetworkFacts {
  readonly networkId: NetworkId;
  readonly name: string;
  readonly subnets: readonly string[];
}

/**
 * What a resolver has to hold, so that it is only told what changed. Members are compared by identity, since a state's
 * reader keeps those that did not change.
 */
export class SentNames {
  readonly #networks = new Map<NetworkId, SentNetwork>();
  #isComplete = false;

  /** Nothing is known of what the resolver holds: the next changes are complete. */
  forget(): void {
    this.#isComplete = false;
  }

  /** What makes the resolver hold these views; counts as told from now on. */
  changesTo(views: NetworkViews, touched: NetworkTouches): readonly BookChange[] {
    const changes: BookChange[] = [];
    for (const networkId of touchedKeys(
      touched && new Set(touched.keys()),
      this.#networks.keys(),
      views.keys(),
    ))
      this.#follow(networkId, views.get(networkId), touched?.get(networkId), changes);
    return this.#isComplete ? changes : this.everything();
  }

  /** What makes a resolver that may hold anything hold this. */
  everything(): readonly BookChange[] {
    this.#isComplete = true;
    const changes: BookChange[] = [{ type: 'clear' }];
    for (const [networkId, { network, services, members }] of this.#networks) {
      changes.push({ type: 'network', network: network! });
      for (const service of services.values()) changes.push(serviceChange(networkId, service));
      for (const member of members.values()) changes.push(memberChange(networkId, member));
    }
    return changes;
  }

  #follow(
    networkId: NetworkId,
    view: NetworkView | undefined,
    touch: NetworkTouch | undefined,
    changes: BookChange[],
  ): void {
    if (view === undefined) {
      if (this.#networks.delete(networkId)) changes.push({ type: 'noNetwork', networkId });
      return;
    }
    let sent = this.#networks.get(networkId);
    if (sent === undefined) {
      sent = { network: undefined, services: new Map(), members: new Map() };
      this.#networks.set(networkId, sent);
    }
    followNetwork(view.overlay, sent, changes);
    const named = touch === undefined || touch === 'all' ? undefined : touch;
    for (const id of touchedKeys(named?.services, sent.services.keys(), view.services.keys()))
      followService(networkId, id, view.services.get(id), sent, changes);
    for (const id of touchedKeys(named?.members, sent.members.keys(), view.members.keys()))
      followMember(networkId, id, view.members.get(id), sent, changes);
  }
}

function followNetwork(
  { networkId, name: given, subnets: nets }: CheckedOverlay,
  sent: SentNetwork,
  changes: BookChange[],
): void {
  const name = given.toLowerCase();
  const subnets = nets.map(String);
  const { network: before } = sent;
  if (before?.name === name && sameItems(before.subnets, subnets)) return;
  sent.network = { networkId, name, subnets };
  changes.push({ type: 'network', network: sent.network });
}

function followService(
  networkId: NetworkId,
  serviceId: string,
  service: ViewedService | undefined,
  { services }: SentNetwork,
  changes: BookChange[],
): void {
  if (service === undefined) {
    if (services.delete(serviceId)) changes.push({ type: 'noService', networkId, serviceId });
    return;
  }
  const before = services.get(serviceId);
  services.set(serviceId, service);
  const isSame =
    before !== undefined &&
    sameItems(service.names, before.names) &&
    sameItems(service.vips, before.vips);
  if (!isSame) changes.push(serviceChange(networkId, service));
}

function followMember(
  networkId: NetworkId,
  taskId: TaskId,
  viewed: ViewedMember | undefined,
  { members }: SentNetwork,
  changes: BookChange[],
): void {
  if (viewed === undefined) {
    if (members.delete(taskId)) changes.push({ type: 'noMember', networkId, taskId });
    return;
  }
  const { member, addresses } = viewed;
  const isReachable = isReached(viewed);
  const before = members.get(taskId);
  if (before?.member === member && before.isReachable === isReachable) return;
  const sent = { member, addresses, isReachable };
  members.set(taskId, sent);
  changes.push(memberChange(networkId, sent));
}

function serviceChange(
  networkId: NetworkId,
  { serviceId, names, vips }: ViewedService,
): BookChange {
  return { type: 'service', networkId, service: { serviceId, names, vips } };
}

function memberChange(
  networkId: NetworkId,
  { member, addresses, isReachable }: SentMember,
): BookChange {
  const { taskId, serviceId, names, serves } = member;
  return {
    type: 'member',
    networkId,
    member: { taskId, serviceId, names, addresses, serves, isReachable },
  };
}

/** Changes in parts that fit into one order each; at least one part. */
export function parts(changes: readonly BookChange[]): readonly (readonly BookChange[])[] {
  const found: BookChange[][] = [[]];
  let chars = 0;
  for (const change of changes) {
    const part = found.at(-1)!;
    const cost = charsOf(change);
    if (part.length > 0 && (chars + cost > ORDER_CHARS || part.length >= CHANGES_LIMIT)) {
      found.push([change]);
      chars = cost;
    } else {
      part.push(change);
      chars += cost;
    }
  }
  return found;
}

/** About how long the change is as JSON. */
function charsOf(change: BookChange): number {
  const one = change.type === 'service' ? change.service : undefined;
  const names = one?.names ?? (change.type === 'member' ? change.member.names : []);
  return names.reduce((sum, name) => sum + name.length + 3, 1024);
}

function isReached({ peer }: ViewedMember): boolean {
  return peer !== undefined && !peer.down;
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
