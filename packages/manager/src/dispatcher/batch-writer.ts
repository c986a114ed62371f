import { ApiError, type Clock, type Timer } from '@swarm/api';
import type { SetAside } from '../set-aside.js';
import {
  type Kind,
  type Store,
  TRANSACTION_CHANGES_LIMIT,
  type Transaction,
} from '../store/store.js';
import { CONFLICT_RETRY_LIMIT, STORE_BACKOFF_MAX_MS, STORE_BACKOFF_MIN_MS } from './limits.js';

/**
 * A change of one object. `make` reads what it needs from the transaction and makes at most one change, or none
 * when there is nothing to do any more. It is run again when the write is tried again, so it must not rely on
 * what it saw.
 */
export interface Change {
  readonly kind: Kind;
  readonly id: string;
  readonly make: (transaction: Transaction) => void;
}

/** Thrown to whoever waits for a write when the writer is stopped. */
export class WriterStopped extends Error {
  override readonly name = 'WriterStopped';
  readonly code = 'WRITER_STOPPED';
}

/** Writes many independent changes, in transactions of a legal size, until they are stored. */
export class BatchWriter {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #aside: SetAside;
  readonly #running = new Set<Promise<void>>();
  readonly #sleepers = new Map<Timer, () => void>();
  #stopped = false;

  /** @param aside a change that fails with a fault is left out, and the others are written */
  constructor(store: Store, clock: Clock, aside: SetAside) {
    this.#store = store;
    this.#clock = clock;
    this.#aside = aside;
  }

  /**
   * Resolves when all changes are stored. A conflict is read and tried again; without a quorum it is tried
   * until there is one or the writer is stopped.
   * @throws WriterStopped, or the store's error when trying again is of no use
   */
  async write(changes: readonly Change[]): Promise<void> {
    const chunks: Promise<void>[] = [];
    for (let start = 0; start < changes.length; start += TRANSACTION_CHANGES_LIMIT) {
      chunks.push(this.#track(changes.slice(start, start + TRANSACTION_CHANGES_LIMIT)));
    }
    const failed = (await Promise.allSettled(chunks)).find(
      (result) => result.status === 'rejected',
    );
    if (failed !== undefined) throw failed.reason;
  }

  /** Makes waiting writes fail. Resolves when none is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const [timer, wake] of this.#sleepers) {
      this.#clock.clearTimeout(timer);
      wake();
    }
    this.#sleepers.clear();
    await Promise.allSettled(this.#running);
  }

  async #track(changes: readonly Change[]): Promise<void> {
    const running = this.#writeChunk(changes);
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #writeChunk(changes: readonly Change[]): Promise<void> {
    let conflicts = 0;
    let backoffMs = STORE_BACKOFF_MIN_MS;
    for (;;) {
      if (this.#stopped) throw new WriterStopped('the writer was stopped');
      try {
        await this.#store.transact((transaction) => {
          for (const { kind, id, make } of changes) {
            this.#aside.attempt(kind, { ID: id }, () => make(transaction));
          }
        });
        return;
      } catch (error) {
        const code = error instanceof ApiError ? error.code : undefined;
        if (code === 'OUT_OF_SEQUENCE' || code === 'CONFLICT') {
          conflicts += 1;
          if (conflicts > CONFLICT_RETRY_LIMIT) throw error;
        } else if (code === 'TOO_LARGE' && changes.length > 1) {
          const half = changes.length >> 1;
          await this.#writeChunk(changes.slice(0, half));
          await this.#writeChunk(changes.slice(half));
          return;
        } else if (code === 'NO_QUORUM' || code === 'TIMEOUT' || code === 'OVERLOADED') {
          await this.#sleep(backoffMs);
          backoffMs = Math.min(backoffMs * 2, STORE_BACKOFF_MAX_MS);
        } else {
          throw error;
        }
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
