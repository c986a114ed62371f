import type { CheckedMember } from '../checked.js';
import type { NetworkView, ViewedMember, ViewedService } from '../overlay/network-view.js';
import { type BookChange, CHANGES_LIMIT } from './resolver-orders.js';

/** Characters of changes in one order, far below what a frame may have. */
const ORDER_CHARS = 512 * 1024;

/** What was told of one thing, and the round in which it was last there. */
interface Sent<T> {
  value: T;
  round: number;
}

interface SentMember {
  readonly member: CheckedMember;
  readonly isReachable: boolean;
}

interface SentNetwork {
  facts: string;
  round: number;
  readonly services: Map<string, Sent<ViewedService>>;
  readonly members: Map<string, Sent<SentMember>>;
}

/**
 * What a resolver was told, so that it is only told what changed. Members are compared by identity, since a state's
 * reader keeps those that did not change; so an unchanged one costs two comparisons.
 */
export class SentNames {
  readonly #networks = new Map<string, SentNetwork>();
  #isComplete = false;
  #round = 0;

  /** Nothing is known of what the resolver holds: the next changes are complete. */
  forget(): void {
    this.#isComplete = false;
    this.#networks.clear();
  }

  /** What makes the resolver hold these views; counts as told from now on. */
  changesTo(views: readonly NetworkView[]): readonly BookChange[] {
    const changes: BookChange[] = [];
    if (!this.#isComplete) changes.push({ type: 'clear' });
    this.#isComplete = true;
    this.#round += 1;
    for (const view of views) {
      const { networkId } = view.overlay;
      let sent = this.#networks.get(networkId);
      if (sent === undefined) {
        sent = { facts: '', round: 0, services: new Map(), members: new Map() };
        this.#networks.set(networkId, sent);
      }
      sent.round = this.#round;
      follow(view, sent, changes);
    }
    for (const networkId of gone(this.#networks, views.length, this.#round))
      changes.push({ type: 'noNetwork', networkId });
    return changes;
  }
}

/** Removes what this round did not see; looks for it only if there is some. @returns its keys */
function gone(
  sent: Map<string, { readonly round: number }>,
  present: number,
  round: number,
): readonly string[] {
  if (sent.size === present) return [];
  const keys = [...sent].flatMap(([key, one]) => (one.round === round ? [] : [key]));
  for (const key of keys) sent.delete(key);
  return keys;
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
  sent: SentNetwork,
  changes: BookChange[],
): void {
  const { networkId } = overlay;
  const { round } = sent;
  const name = overlay.name.toLowerCase();
  const subnets = overlay.subnets.map((subnet) => subnet.toString());
  const facts = [name, ...subnets].join(' ');
  if (sent.facts !== facts)
    changes.push({ type: 'network', network: { networkId, name, subnets } });
  sent.facts = facts;
  for (const service of services) {
    const { serviceId, names, vips } = service;
    const known = sent.services.get(serviceId);
    if (known === undefined) sent.services.set(serviceId, { value: service, round });
    else {
      known.round = round;
      const { value } = known;
      known.value = service;
      if (sameItems(names, value.names) && sameItems(vips, value.vips)) continue;
    }
    changes.push({ type: 'service', networkId, service: { serviceId, names, vips } });
  }
  for (const serviceId of gone(sent.services, services.length, round))
    changes.push({ type: 'noService', networkId, serviceId });
  for (const viewed of members) {
    const { member, addresses } = viewed;
    const { taskId } = member;
    const isReachable = isReached(viewed);
    const known = sent.members.get(taskId);
    if (known === undefined) sent.members.set(taskId, { value: { member, isReachable }, round });
    else {
      known.round = round;
      if (known.value.member === member && known.value.isReachable === isReachable) continue;
      known.value = { member, isReachable };
    }
    const { serviceId, names, serves } = member;
    changes.push({
      type: 'member',
      networkId,
      member: { taskId, serviceId, names, addresses, serves, isReachable },
    });
  }
  for (const taskId of gone(sent.members, members.length, round))
    changes.push({ type: 'noMember', networkId, taskId });
}

function isReached({ peer }: ViewedMember): boolean {
  return peer !== undefined && !peer.down;
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}
