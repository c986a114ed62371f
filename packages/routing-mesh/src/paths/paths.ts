import type { ForeignFirewall } from '@swarm/api';
import type { CheckedPeer } from '../checked.js';
import type { FoundProblem } from './path-state.js';

/**
 * Whether packets reach the other nodes through the tunnel. Knows only peers.
 *
 * Calls of `start` and `follow` must not overlap; the mesh that owns the parts ensures that.
 */
export interface Paths {
  /**
   * Begins to answer others, on the node's own address of the mesh. May be repeated with another place.
   * @param mtuBytes of the tunnel
   */
  start(self: CheckedPeer, mtuBytes: number): Promise<void>;
  /** Looks at the paths to these peers, which have routes, and at no others. May include the node itself. */
  follow(peers: ReadonlyMap<string, CheckedPeer>): void;
  /** Whether this node answers others: until it says so, nobody looks at the path to it. */
  readonly isAnswering: boolean;
  /** What is wrong, by node id. Another object after each change. */
  readonly problems: ReadonlyMap<string, FoundProblem>;
  /** Whether this node reaches fewer peers than it does not reach. */
  readonly isCutOff: boolean;
  /** Firewalls of this host that may stop packets. */
  readonly firewalls: readonly ForeignFirewall[];
  /** Calls the listener after each change of these. @returns ends that */
  watch(listener: () => void): () => void;
  close(): void;
}

const NO_PROBLEMS: ReadonlyMap<string, FoundProblem> = new Map();

/** For nodes without a tunnel. */
export const noPaths: Paths = {
  start: async () => {},
  follow: () => {},
  isAnswering: false,
  problems: NO_PROBLEMS,
  isCutOff: false,
  firewalls: [],
  watch: () => () => {},
  close: () => {},
};
