import { ApiError, backoffMs, type Clock, type Logger, type Timer } from '@swarm/api';
import {
  QUEUE_CONCURRENCY_LIMIT,
  RETRY_CONFLICT_MS,
  RETRY_FAILURE_MS,
  WAKE_MAX_MS,
} from './limits.js';

/** What a pass over one key asks for at its end: another pass at once, or one at a given time. */
export interface PassResult {
  readonly again?: boolean;
  /** Milliseconds since the epoch, by WorkQueueOptions.now. */
  readonly wakeAt?: number;
}

export interface WorkQueueOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What `wakeAt` is compared with; default the clock's wall time. */
  readonly now?: () => number;
  /** Works on one key. `failures` counts the failed passes since the last success. */
  readonly run: (key: string, failures: number) => Promise<PassResult>;
}

interface Entry {
  queued: boolean;
  running: boolean;
  failures: number;
  timer: Timer | undefined;
}

/**
 * Coalesces work by key: a key added many times before its pass starts gets one pass; a key added during
 * its pass gets one more. Keys fail alone: a failed pass is repeated with back-off and does not hold up
 * other keys.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #entries = new Map<string, Entry>();
  #ready: string[] = [];
  #active = 0;
  #scheduled = false;
  #stopped = false;
  #idle: (() => void) | undefined;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Asks for a pass over `key` now, overriding a pending back-off or wake-up. */
  add(key: string): void {
    if (this.#stopped) return;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { queued: false, running: false, failures: 0, timer: undefined };
      this.#entries.set(key, entry);
    }
    this.#queue(key, entry);
  }

  /** Forgets a key whose object is gone. */
  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#options.clock.clearTimeout(entry.timer);
    this.#entries.delete(key);
  }

  /** Takes keys again after a stop. */
  start(): void {
    this.#stopped = false;
  }

  /** Starts no further pass; resolves when the running ones have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const entry of this.#entries.values()) this.#options.clock.clearTimeout(entry.timer);
    this.#entries.clear();
    this.#ready = [];
    if (this.#active > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #queue(key: string, entry: Entry): void {
    this.#options.clock.clearTimeout(entry.timer);
    entry.timer = undefined;
    if (entry.queued) return;
    entry.queued = true;
    if (entry.running) return;
    this.#ready.push(key);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#options.clock.setImmediate(() => {
      this.#scheduled = false;
      this.#drain();
    });
  }

  #drain(): void {
    while (!this.#stopped && this.#active < QUEUE_CONCURRENCY_LIMIT) {
      const key = this.#ready.shift();
      if (key === undefined) return;
      const entry = this.#entries.get(key);
      if (entry === undefined || entry.running) continue;
      void this.#pass(key, entry);
    }
  }

  async #pass(key: string, entry: Entry): Promise<void> {
    entry.queued = false;
    entry.running = true;
    this.#active++;
    let result: PassResult;
    try {
      result = await this.#options.run(key, entry.failures);
      entry.failures = 0;
    } catch (error) {
      result = { wakeAt: this.#now() + this.#retryMs(key, entry, error) };
    }
    entry.running = false;
    this.#active--;
    if (this.#stopped) {
      if (this.#active === 0) this.#idle?.();
      return;
    }
    if (this.#entries.get(key) === entry) this.#after(key, entry, result);
    else if (this.#entries.has(key)) this.#requeue(key);
    if (this.#ready.length > 0) this.#schedule();
  }

  #now(): number {
    const { now, clock } = this.#options;
    return now === undefined ? clock.now() : now();
  }

  /** Queues a key that was forgotten and added again during the pass of its old entry. */
  #requeue(key: string): void {
    if (!this.#ready.includes(key)) this.#ready.push(key);
  }

  #after(key: string, entry: Entry, result: PassResult): void {
    if (entry.queued || result.again === true) {
      entry.queued = false;
      this.#queue(key, entry);
    } else if (result.wakeAt !== undefined) {
      const delayMs = Math.ceil(result.wakeAt - this.#now());
      entry.timer = this.#options.clock.setTimeout(
        () => this.#queue(key, entry),
        Math.min(Math.max(delayMs, 1), WAKE_MAX_MS),
      );
    }
  }

  #retryMs(key: string, entry: Entry, error: unknown): number {
    const isConflict =
      error instanceof ApiError && (error.code === 'OUT_OF_SEQUENCE' || error.code === 'CONFLICT');
    entry.failures++;
    if (isConflict) return backoffMs(entry.failures, RETRY_CONFLICT_MS);
    const waitMs = backoffMs(entry.failures, RETRY_FAILURE_MS);
    this.#options.logger.warn({ key, error, waitMs }, 'a pass failed, will retry');
    return waitMs;
  }
}
