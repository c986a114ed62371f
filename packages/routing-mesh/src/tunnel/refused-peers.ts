import { type BackoffLimits, backoffMs, type Clock, type Logger } from '@swarm/api';
import { type CheckedPeer, samePeer } from '../checked.js';

/** Pauses before a rejected peer is tried again. */
const RETRY_MS: BackoffLimits = { minMs: 15_000, maxMs: 600_000 };

/** A peer that the kernel rejected. */
interface Refusal {
  readonly peer: CheckedPeer;
  readonly tries: number;
  readonly retryAtMs: number;
}

/** Peers that the kernel rejected, each with the time of its next attempt. */
export class RefusedPeers {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #refusals = new Map<string, Refusal>();

  constructor(options: { clock: Clock; logger: Logger }) {
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** Whether it is time to try some peer again. */
  get isRetryDue(): boolean {
    const nowMs = this.#clock.monotonicMs();
    for (const { retryAtMs } of this.#refusals.values()) if (retryAtMs <= nowMs) return true;
    return false;
  }

  /** Whether it is too early to try the peer again, if it is unchanged. */
  isPaused(peer: CheckedPeer): boolean {
    const refusal = this.#refusals.get(peer.nodeId);
    if (refusal === undefined || !samePeer(peer, refusal.peer)) return false;
    return this.#clock.monotonicMs() < refusal.retryAtMs;
  }

  /** Logs the peer, once as long as it stays the same. */
  add(peer: CheckedPeer, error: Error): void {
    const before = this.#refusals.get(peer.nodeId);
    const again = before !== undefined && samePeer(peer, before.peer);
    const tries = again ? before.tries + 1 : 1;
    const retryAtMs = this.#clock.monotonicMs() + backoffMs(tries, RETRY_MS);
    this.#refusals.set(peer.nodeId, { peer, tries, retryAtMs });
    if (again) return;
    const { nodeId, address } = peer;
    this.#logger.warn(
      { nodeId, address, err: error },
      `left out of the mesh: node ${nodeId} at ${address}, which the kernel rejected; trying again from time to time`,
    );
  }

  delete(nodeId: string): void {
    this.#refusals.delete(nodeId);
  }

  /** Forgets peers that no longer exist. */
  retain(peers: ReadonlyMap<string, CheckedPeer>): void {
    for (const nodeId of this.#refusals.keys()) {
      if (!peers.has(nodeId)) this.#refusals.delete(nodeId);
    }
  }

  clear(): void {
    this.#refusals.clear();
  }

  ids(): Set<string> {
    return new Set(this.#refusals.keys());
  }
}
