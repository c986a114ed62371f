import { ApiError } from '@swarm/api';
import { type Rate, TokenBucket } from '../token-bucket.js';

/**
 * Renewals of one node. Each costs a signature and a log entry. A demoted node asks repeatedly until it is out
 * of the Raft group, which takes seconds.
 */
export const RENEWALS: Rate = { burst: 60, perSecond: 1 };
/** First certificates for one host: each creates a node. Many hosts may be behind one address. */
export const JOINS: Rate = { burst: 256, perSecond: 4 };
/** Keys remembered, more than a cluster has nodes; one more makes it forget all of them. */
const KEYS_LIMIT = 16_384;

/** Limits how fast one node, or one host, can get certificates. */
export class IssueLimit {
  readonly #rate: Rate;
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(rate: Rate, monotonicMs: () => number) {
    this.#rate = rate;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Counts a certificate.
   * @param what begins the refusal: `Node x has its certificate renewed too often`
   * @throws ApiError OVERLOADED when it is one too many for this key
   */
  spend(key: string, what: string): void {
    const nowMs = this.#monotonicMs();
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      if (this.#buckets.size >= KEYS_LIMIT) this.#buckets.clear();
      bucket = new TokenBucket(this.#rate, nowMs);
      this.#buckets.set(key, bucket);
    }
    const waitMs = bucket.waitMs(nowMs);
    if (waitMs > 0) {
      throw new ApiError('OVERLOADED', `${what}: try again in ${Math.ceil(waitMs / 1000)} s.`);
    }
    bucket.spend(1, nowMs);
  }
}
