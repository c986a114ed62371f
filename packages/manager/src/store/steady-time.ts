import type { Clock } from '@swarm/api';

/** How fast it goes while it is ahead of the wall clock, so that this is made up for in the end. */
const CATCH_UP_RATE = 0.5;

/**
 * A wall clock that never goes back: not when the host's is set back, and not below what it was raised to,
 * the times that other managers' clocks have given. Ahead of the wall clock it goes on at half its speed
 * instead of standing still, so that who waits for a time does not wait for the whole difference.
 */
export class SteadyTime {
  readonly #clock: Clock;
  #lastMs = 0;
  #readAtMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#readAtMs = clock.monotonicMs();
  }

  /** Milliseconds since the epoch, whole. */
  now(): number {
    const monotonicMs = this.#clock.monotonicMs();
    const steadyMs = this.#lastMs + (monotonicMs - this.#readAtMs) * CATCH_UP_RATE;
    this.#lastMs = Math.max(this.#clock.now(), this.#lastMs === 0 ? 0 : steadyMs);
    this.#readAtMs = monotonicMs;
    return Math.floor(this.#lastMs);
  }

  /** From now on it is at least this. */
  raise(ms: number): void {
    if (ms > this.now()) this.#lastMs = ms;
  }
}
