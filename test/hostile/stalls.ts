const TICK_MS = 25;

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

  get lostMs(): number {
    return this.#lostMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
