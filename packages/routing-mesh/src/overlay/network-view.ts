import type { IpAddress } from '@swarm/api';
import type { CheckedMember, CheckedOverlay, CheckedPeer } from '../checked.js';
import type { NetworkId, TaskId } from '../layout.js';

/** A service as the tasks of one network find it. */
export interface ViewedService {
  readonly serviceId: string;
  /** Its name and its aliases on this network, in lower case, each once. */
  readonly names: readonly string[];
  /** Empty when its names lead to its tasks. */
  readonly vips: readonly IpAddress[];
}

/** A task as the tasks of one network find it. */
export interface ViewedMember {
  readonly member: CheckedMember;
  /** On this network, at least one. */
  readonly addresses: readonly IpAddress[];
  /** Its node; undefined when this node has no way to that. */
  readonly peer: CheckedPeer | undefined;
}

/** What the tasks of this node see of one of their overlay networks. */
export interface NetworkView {
  readonly overlay: CheckedOverlay;
  readonly services: ReadonlyMap<string, ViewedService>;
  readonly members: ReadonlyMap<TaskId, ViewedMember>;
}

/** By network. Follows the newest state: keep what has to stay. */
export type NetworkViews = ReadonlyMap<NetworkId, NetworkView>;

/** What may differ in a network since the views were handed over last: `all` also if it came or went. */
export type NetworkTouch =
  | 'all'
  | { readonly services: ReadonlySet<string>; readonly members: ReadonlySet<TaskId> };

/** Networks in which anything may differ; undefined: everything may. */
export type NetworkTouches = ReadonlyMap<NetworkId, NetworkTouch> | undefined;

/**
 * The keys to compare in one network.
 * @param named what the touch names, if it names anything
 * @param known keys that were there
 * @param current keys that are there
 */
export function touchedKeys<K>(
  named: ReadonlySet<K> | undefined,
  known: Iterable<K>,
  current: Iterable<K>,
): Iterable<K> {
  return named ?? new Set([...known, ...current]);
}
