import { ApiError } from '@swarm/api';
import { type Rate, TokenBucket } from '../token-bucket.js';

/**
 * Certificates of one node. Each is a signature and a log entry. A node that is demoted asks again and again
 * until it is out of the Raft group, which takes seconds.
 */
export const RENEWALS: Rate = { burst: 60, perSecond: 1 };
/** Nodes remembered, more than a cluster has; beyond, all are forgotten. */
const NODES_LIMIT = 16_384;

/** Keeps one node from having certificates made as fast as it can ask. */
export class RenewalLimit {
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Counts a renewal. @throws ApiError OVERLOADED when it is one too many for this node */
  spend(nodeId: string): void {
    const nowMs = this.#monotonicMs();
    let bucket = this.#buckets.get(nodeId);
    if (bucket === undefined) {
      if (this.#buckets.size >= NODES_LIMIT) this.#buckets.clear();
      bucket = new TokenBucket(RENEWALS, nowMs);
      this.#buckets.set(nodeId, bucket);
    }
    const waitMs = bucket.waitMs(nowMs);
    if (waitMs > 0) {
      throw new ApiError(
        'OVERLOADED',
        `Node ${nodeId} has its certificate renewed too often: try again in ${Math.ceil(waitMs / 1000)} s.`,
      );
    }
    bucket.spend(1, nowMs);
  }
}
