import type { Clock, Logger, Timer } from '@swarm/api';

export interface RepeatedOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** From the end of a run to the next; undefined: never. */
  readonly everyMs: number | undefined;
  readonly job: () => Promise<void>;
  /** What is logged when the job fails. */
  readonly failure: string;
}

/** A job that runs again and again, whether it fails or not, until it is stopped. */
export class Repeated {
  readonly #options: RepeatedOptions;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: RepeatedOptions) {
    this.#options = options;
  }

  /** Only the first call starts it. */
  start(): void {
    if (this.#timer === undefined) this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    this.#options.clock.clearTimeout(this.#timer);
  }

  #schedule(): void {
    const { clock, logger, everyMs, job, failure } = this.#options;
    if (this.#isStopped || everyMs === undefined) return;
    this.#timer = clock.setTimeout(() => {
      job()
        .catch((error: unknown) => logger.error({ err: error }, failure))
        .finally(() => this.#schedule());
    }, everyMs);
  }
}
