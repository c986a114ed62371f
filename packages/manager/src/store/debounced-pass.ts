import { ApiError, backoffMs, type Clock, type Logger, type Timer } from '@swarm/api';

/** Pause after a pass that failed, doubled with each further failure, milliseconds. */
export const RETRY_FIRST_MS = 50;
export const RETRY_LIMIT_MS = 5_000;

export interface DebouncedPassOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Waits until no trigger came for this long, milliseconds. */
  readonly debounceMs: number;
  /** But no longer than this after the first trigger, milliseconds. */
  readonly limitMs: number;
  /**
   * One pass over what there is to do. It may throw: then it is repeated, soon when an object had
   * changed under it (OUT_OF_SEQUENCE), else after a longer pause.
   */
  readonly pass: (isStopped: () => boolean) => Promise<void>;
}

/** Runs a pass after events, one at a time, gathering events that come close together. */
export class DebouncedPass {
  readonly #options: DebouncedPassOptions;
  #timer: Timer | undefined;
  #firstTriggerMs: number | undefined;
  #running: Promise<void> | undefined;
  /** A new one for each `start`, so that what a stopped run still does ends by itself. */
  #session: { isStopped: boolean } = { isStopped: true };
  #failures = 0;

  constructor(options: DebouncedPassOptions) {
    this.#options = options;
  }

  /** Starts with a first pass; may be called again after `stop` has resolved. */
  start(): void {
    this.#session = { isStopped: false };
    this.#failures = 0;
    this.#firstTriggerMs = undefined;
    this.trigger();
  }

  /** Something happened that a pass should look at. Does nothing while stopped. */
  trigger(): void {
    if (this.#session.isStopped) return;
    const now = this.#options.clock.monotonicMs();
    this.#firstTriggerMs ??= now;
    // A pass under way looks for triggers at its end; a pause after a failure is kept.
    if (this.#running !== undefined || this.#failures > 0) return;
    const { debounceMs, limitMs } = this.#options;
    this.#arm(Math.max(0, Math.min(debounceMs, this.#firstTriggerMs + limitMs - now)));
  }

  /** Starts no further pass; resolves when the one under way has ended. */
  async stop(): Promise<void> {
    this.#session.isStopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#running;
  }

  #arm(delayMs: number): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      this.#firstTriggerMs = undefined;
      this.#running = this.#run();
    }, delayMs);
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { logger, pass, debounceMs } = this.#options;
    const session = this.#session;
    let retryMs: number | undefined;
    try {
      await pass(() => session.isStopped);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const isStale = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
      const firstMs = isStale ? debounceMs : RETRY_FIRST_MS;
      retryMs = backoffMs(this.#failures, { minMs: firstMs, maxMs: RETRY_LIMIT_MS });
      // Losing a race to another writer is normal.
      if (!isStale && !session.isStopped)
        logger.warn({ err: error, retryMs }, 'a pass failed, will retry');
    } finally {
      this.#running = undefined;
    }
    if (session.isStopped) return;
    if (retryMs !== undefined) this.#arm(retryMs);
    else if (this.#firstTriggerMs !== undefined) this.trigger();
  }
}
