import { ApiError, backoffMs, type Clock, type Timer } from '@swarm/api';
import { type Store, TRANSACTION_CHANGES_LIMIT, type Transaction } from '../store/store.js';
import { CONFLICT_RETRY_LIMIT, CONFLICTS_TOGETHER_LIMIT, STORE_BACKOFF_MS } from './limits.js';

/**
 * Reads what it needs from the transaction and makes at most one change, or none when nothing is left to do.
 * It runs again when the write is retried, so it must not rely on what it saw before.
 */
export type Change = (transaction: Transaction) => void;

/** Thrown to callers that wait for a write when the writer stops. */
export class WriterStopped extends Error {
  override readonly name = 'WriterStopped';
  readonly code = 'WRITER_STOPPED';
}

/** A run of changes for one transaction, and the index of the first among all. */
interface Chunk {
  readonly first: number;
  readonly changes: readonly Change[];
}

/** Errors by the index of the change that they stopped. */
type Failures = Map<number, unknown>;

/** Writes many independent changes, in transactions of a legal size, until they are stored. */
export class BatchWriter {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #running = new Set<Promise<void>>();
  readonly #sleepers = new Map<Timer, () => void>();
  #stopped = false;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Resolves when all changes are stored. Retries after a conflict, and without a quorum until there is one or
   * the writer stops.
   * @throws WriterStopped, or the store's error when retries do not help
   */
  async write(changes: readonly Change[]): Promise<void> {
    for (const error of (await this.settle(changes)).values()) throw error;
  }

  /**
   * As `write`, but reports for each change whether it is stored: one that cannot be does not stop those that
   * were to go with it.
   * @returns errors by index of the change; empty when all are stored
   */
  async settle(changes: readonly Change[]): Promise<ReadonlyMap<number, unknown>> {
    const failures: Failures = new Map();
    const chunks: Promise<void>[] = [];
    for (let first = 0; first < changes.length; first += TRANSACTION_CHANGES_LIMIT) {
      const part = changes.slice(first, first + TRANSACTION_CHANGES_LIMIT);
      chunks.push(this.#track({ first, changes: part }, failures));
    }
    await Promise.all(chunks);
    return failures;
  }

  /** Makes waiting writes fail. Resolves once no write is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const [timer, wake] of this.#sleepers) {
      this.#clock.clearTimeout(timer);
      wake();
    }
    this.#sleepers.clear();
    await Promise.allSettled(this.#running);
  }

  async #track(chunk: Chunk, failures: Failures): Promise<void> {
    const running = this.#writeChunk(chunk, failures);
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #writeChunk(chunk: Chunk, failures: Failures): Promise<void> {
    const { changes, first } = chunk;
    const failed = (error: unknown) => {
      for (const index of changes.keys()) failures.set(first + index, error);
    };
    const single = changes.length === 1;
    let conflicts = 0;
    let refusals = 0;
    for (;;) {
      if (this.#stopped) return failed(new WriterStopped('the writer was stopped'));
      try {
        await this.#store.transact((transaction) => {
          for (const change of changes) change(transaction);
        });
        return;
      } catch (error) {
        const code = error instanceof ApiError ? error.code : undefined;
        if (code === 'NO_QUORUM' || code === 'TIMEOUT' || code === 'OVERLOADED') {
          refusals += 1;
          await this.#sleep(backoffMs(refusals, STORE_BACKOFF_MS));
          continue;
        }
        if (code === 'OUT_OF_SEQUENCE' || code === 'CONFLICT') {
          conflicts += 1;
          if (conflicts <= (single ? CONFLICT_RETRY_LIMIT : CONFLICTS_TOGETHER_LIMIT)) continue;
        }
        if (single) return failed(error);
        // Either they are too large together, or one of them cannot be written. Halves find out which.
        const half = changes.length >> 1;
        await Promise.all([
          this.#writeChunk({ first, changes: changes.slice(0, half) }, failures),
          this.#writeChunk({ first: first + half, changes: changes.slice(half) }, failures),
        ]);
        return;
      }
    }
  }

  #sleep(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => {
        this.#sleepers.delete(timer);
        resolve();
      }, ms);
      this.#sleepers.set(timer, resolve);
    });
  }
}
