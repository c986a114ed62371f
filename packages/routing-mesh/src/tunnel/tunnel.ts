import type { IpAddress } from '@swarm/api';
import type { CheckedPeer } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';

/**
 * The way between nodes. Knows only peers: no services, no tasks.
 *
 * Calls must not overlap; the mesh that owns the parts ensures that.
 */
export interface Tunnel {
  /** Largest packet that fits; tasks' links have the same limit. 0 before `start`. */
  readonly mtuBytes: number;

  /** From which this host's own packets come over IPv6; the same object until a look finds others. */
  readonly ipv6Addresses: readonly IpAddress[];

  /**
   * Makes the node's own end, or takes over what an earlier process left of it. Again when the node's place or the
   * ingress network has changed: ways to peers stay until {@link prune}, and `reach` makes the new ones.
   * @throws when no device of the node has the peer's address; the message names the option
   */
  start(self: CheckedPeer, ingress: CheckedIngress): Promise<void>;

  /**
   * Makes routes to these peers; those to others stay until {@link prune}. Leaves out a peer that the kernel
   * rejects, logs it once, and tries it again when `isRetryDue` says so.
   * @param peers may include the node itself
   * @returns ids of the peers that are left out
   */
  reach(peers: ReadonlyMap<string, CheckedPeer>): Promise<ReadonlySet<string>>;

  /** Removes the routes to peers that are not in `peers`. Called once nothing uses them any more. */
  prune(peers: ReadonlyMap<string, CheckedPeer>): Promise<void>;

  /** Whether `reach` should try a rejected peer again. */
  readonly isRetryDue: boolean;

  /**
   * Restores what somebody removed.
   * @returns whether anything was missing
   */
  repair(): Promise<boolean>;

  /** Removes everything. */
  close(): Promise<void>;
}

/** For nodes that reach each other's tasks at the nodes' own addresses. */
export const noTunnel: Tunnel = {
  mtuBytes: 0,
  ipv6Addresses: [],
  start: async () => {},
  reach: async () => new Set(),
  prune: async () => {},
  isRetryDue: false,
  repair: async () => false,
  close: async () => {},
};
