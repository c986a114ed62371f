import type { CheckedPeer } from '../checked.js';

/**
 * The way between nodes. Knows peers only: no services, no tasks.
 *
 * Calls do not overlap; who composes the mesh sees to it.
 */
export interface Tunnel {
  /** Largest packet that fits; links of tasks have the same. 0 before `start`. */
  readonly mtuBytes: number;

  /**
   * Makes the node's own end, or takes over what an earlier process left of it.
   * @throws when no device of the node has the peer's address; the message names the option
   */
  start(self: CheckedPeer): Promise<void>;

  /**
   * Makes ways to these peers; those to others stay until {@link prune}. A peer that the kernel refuses
   * is left out, named once, and tried again when `isRetryDue` says so.
   * @param peers may hold the node itself
   * @returns ids of the peers that are left out
   */
  reach(peers: ReadonlyMap<string, CheckedPeer>): Promise<ReadonlySet<string>>;

  /** Takes away the ways to peers that are not in `peers`. Called once nothing leads there any more. */
  prune(peers: ReadonlyMap<string, CheckedPeer>): Promise<void>;

  /** Whether a peer that was refused should be tried again: by `reach`. */
  readonly isRetryDue: boolean;

  /**
   * Makes again what someone took away.
   * @returns whether anything was missing
   */
  repair(): Promise<boolean>;

  /** Takes everything away. */
  close(): Promise<void>;
}

/** Of nodes that reach each other's tasks at the nodes' own addresses. */
export const noTunnel: Tunnel = {
  mtuBytes: 0,
  start: async () => {},
  reach: async () => new Set(),
  prune: async () => {},
  isRetryDue: false,
  repair: async () => false,
  close: async () => {},
};
