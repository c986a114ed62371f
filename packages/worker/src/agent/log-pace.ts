import { type Clock, pause } from '@swarm/api';
import { LOG_BURST_MS, LOG_RATE_BYTES } from './limits.js';

/**
 * Spreads the logs of a session over time. A manager stops reading from a node that sends more than its share,
 * heartbeats and statuses included, so logs stay well below that.
 */
export class LogPace {
  readonly #clock: Clock;
  /** When all that was taken so far has been sent at the rate. */
  #sentAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when these bytes may be sent; at once below the rate. */
  async take(bytes: number): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    const fromMs = Math.max(this.#sentAtMs, nowMs - LOG_BURST_MS);
    this.#sentAtMs = fromMs + (bytes / LOG_RATE_BYTES) * 1000;
    const waitMs = this.#sentAtMs - nowMs;
    if (waitMs <= 0) return;
    await pause(this.#clock, waitMs);
  }
}
