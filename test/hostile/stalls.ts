import { availableParallelism, loadavg } from 'node:os';

const TICK_MS = 25;
/** Processes that want a processor, for each there is: what a run has on two free ones, and a few more. */
const OWN_LOAD = 3;

/**
 * How much of the time this process could not run. A machine that is too busy makes everything late, the
 * product and those who watch it; only what is late beyond that is the product's.
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

  /** Time that passes for whoever is watched. */
  now(): number {
    return performance.now() - this.#lostMs;
  }

  /** How many times longer than on a free machine things may take: others want its processors, too. */
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
