import { type Rate, TokenBucket } from '../token-bucket.js';

/**
 * Certificates of one node. It needs one for each half of a certificate's life and each change of its role,
 * and tries again after 5 s; each costs the leader a signature and a log entry.
 */
export const NODE_RENEWALS: Rate = { burst: 10, perSecond: 0.5 };

/** Keeps one node from having certificates made all the time. */
export class RenewalLimit {
  readonly #monotonicMs: () => number;
  /** Only of nodes that renewed lately. The least lately used comes first. */
  readonly #nodes = new Map<string, TokenBucket>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Counts one. @returns false when the node must wait; then it is not counted */
  take(nodeId: string): boolean {
    const nowMs = this.#monotonicMs();
    this.#forgetRested(nowMs);
    const tokens = this.#nodes.get(nodeId) ?? new TokenBucket(NODE_RENEWALS, nowMs);
    if (!tokens.has(nowMs)) return false;
    tokens.spend(1, nowMs);
    this.#nodes.delete(nodeId);
    this.#nodes.set(nodeId, tokens);
    return true;
  }

  #forgetRested(nowMs: number): void {
    for (const [nodeId, tokens] of this.#nodes) {
      if (!tokens.isFull(nowMs)) return;
      this.#nodes.delete(nodeId);
    }
  }
}
