import type { CheckedMember } from '../checked.js';
import type { NetworkView, ViewedMember, ViewedService } from '../overlay/network-view.js';
import { type BookChange, CHANGES_LIMIT } from './resolver-orders.js';

/** Characters of changes in one order, far below what a frame may have. */
const ORDER_CHARS = 512 * 1024;

interface SentMember {
  readonly member: CheckedMember;
  readonly isReachable: boolean;
}

interface SentNetwork {
  readonly facts: string;
  readonly services: Map<string, ViewedService>;
  readonly members: Map<string, SentMember>;
}

/**
 * What a resolver was told, so that it is only told what changed. Members are compared by identity, since a state's
 * reader keeps those that did not change; so an unchanged one costs two comparisons.
 */
export class SentNames {
  #networks: Map<string, SentNetwork> | undefined;

  /** Nothing is known of what the resolver holds: the next changes are complete. */
  forget(): void {
    this.#networks = undefined;
  }

  /** What makes the resolver hold these views; counts as told from now on. */
  changesTo(views: readonly NetworkView[]): readonly BookChange[] {
    const changes: BookChange[] = [];
    if (this.#networks === undefined) changes.push({ type: 'clear' });
    const before = this.#networks ?? new Map<string, SentNetwork>();
    const after = new Map<string, SentNetwork>();
    for (const view of views) {
      const { networkId } = view.overlay;
      after.set(networkId, follow(view, before.get(networkId), changes));
    }
    for (const networkId of before.keys()) {
      if (!after.has(networkId)) changes.push({ type: 'noNetwork', networkId });
    }
    this.#networks = after;
    return changes;
  }
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

function follow(
  { overlay, services, members }: NetworkView,
  before: SentNetwork | undefined,
  changes: BookChange[],
): SentNetwork {
  const { networkId } = overlay;
  const name = overlay.name.toLowerCase();
  const subnets = overlay.subnets.map((subnet) => subnet.toString());
  const facts = [name, ...subnets].join(' ');
  if (before?.facts !== facts)
    changes.push({ type: 'network', network: { networkId, name, subnets } });
  const after: SentNetwork = { facts, services: new Map(), members: new Map() };
  for (const service of services) {
    const { serviceId, names, vips } = service;
    const known = before?.services.get(serviceId);
    if (known !== undefined && sameItems(names, known.names) && sameItems(vips, known.vips)) {
      after.services.set(serviceId, known);
      continue;
    }
    after.services.set(serviceId, service);
    changes.push({ type: 'service', networkId, service: { serviceId, names, vips } });
  }
  for (const serviceId of before?.services.keys() ?? []) {
    if (!after.services.has(serviceId)) changes.push({ type: 'noService', networkId, serviceId });
  }
  for (const viewed of members) {
    const { member, addresses } = viewed;
    const { taskId } = member;
    const isReachable = isReached(viewed);
    const known = before?.members.get(taskId);
    after.members.set(taskId, { member, isReachable });
    if (known?.member === member && known.isReachable === isReachable) continue;
    const { serviceId, names, serves } = member;
    changes.push({
      type: 'member',
      networkId,
      member: { taskId, serviceId, names, addresses, serves, isReachable },
    });
  }
  for (const taskId of before?.members.keys() ?? []) {
    if (!after.members.has(taskId)) changes.push({ type: 'noMember', networkId, taskId });
  }
  return after;
}

function isReached({ peer }: ViewedMember): boolean {
  return peer !== undefined && !peer.down;
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
