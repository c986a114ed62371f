import type { Clock, Logger } from '@swarm/api';

/** Refusals logged one by one in each window; further ones are only counted. */
const LINES_LIMIT = 20;
const WINDOW_MS = 60_000;

/**
 * Logs which peers are refused and why. Anybody who reaches the port can cause such lines, so their number is
 * bounded: nobody can fill the disk with them.
 */
export class RefusalLog {
  readonly #logger: Logger;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #untold = 0;

  constructor(logger: Logger, clock: Pick<Clock, 'monotonicMs'>) {
    this.#logger = logger;
    this.#clock = clock;
  }

  refused(fields: Readonly<Record<string, unknown>>, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      if (this.#untold > 0)
        this.#logger.warn({ count: this.#untold }, 'more connections and requests were refused');
      this.#windowStartMs = nowMs;
      this.#lines = 0;
      this.#untold = 0;
    }
    this.#lines += 1;
    if (this.#lines > LINES_LIMIT) this.#untold += 1;
    else this.#logger.warn(fields, message);
  }
}
