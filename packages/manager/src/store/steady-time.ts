import type { Clock } from '@swarm/api';

/** Speed while ahead of the wall clock, so that the wall clock catches up. */
const CATCH_UP_RATE = 0.5;

/**
 * A wall clock that never goes back: not when the host's clock is set back, and not below the times of other
 * managers' clocks that it was raised to. While ahead of the wall clock it runs at half speed instead of
 * standing still, so that a wait does not grow by the whole difference.
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

  /** Raises the time to at least this. */
  raise(ms: number): void {
    if (ms > this.now()) this.#lastMs = ms;
  }
}
