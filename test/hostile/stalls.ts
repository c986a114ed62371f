import { availableParallelism, loadavg } from 'node:os';

const TICK_MS = 25;
/**
 * Runnable processes per processor that count as a run's own load: its load on two free ones, and a few
 * more.
 */
const OWN_LOAD = 3;

/**
 * Measures how long this process could not run. A busy machine delays everything, daemons and observers
 * alike; only a delay beyond that is the daemons' fault.
 */
export class Stalls {
  #lostMs = 0;
  #last = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#lostMs += Math.max(0, now - this.#last - 2 * TICK_MS);
      this.#last = now;
    }, TICK_MS);
  }

  /** Time that has passed for the observed processes. */
  now(): number {
    return performance.now() - this.#lostMs;
  }

  /** How many times longer than on a free machine things may take, because others use its processors. */
  get slack(): number {
    const [load = 0] = loadavg();
    return 1 + Math.max(0, load / availableParallelism() - OWN_LOAD);
  }

  get lostMs(): number {
    return this.#lostMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
