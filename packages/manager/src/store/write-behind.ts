import type { Clock, Timer } from '@swarm/api';
import type { Write } from './apply.js';
import type { Codec } from './command.js';
import { appliedKey, type Database, encodeNumber, objectKey } from './database.js';

/** How long changes are gathered before they are written, milliseconds. */
export const WRITE_DELAY_MS = 50;

/**
 * Writes applied changes to the database in the background: gathers them for a moment, keeps the newest
 * version of each object, and writes one batch with the index they lead to.
 *
 * At most one batch is in flight, and is synced before the next one starts. LevelDB does not promise that unsynced
 * writes survive a power cut in order (an old log file may lose its tail while the newer one is kept),
 * so without that the database could claim an index whose changes it lacks. Nobody waits for the sync but
 * `flush`; after a crash, the log is replayed from the index of the last batch.
 */
export class WriteBehind {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #codec: Codec;
  readonly #delayMs: number;
  /** By key; undefined: removed. */
  #pending = new Map<string, object | undefined>();
  #generation: number;
  #index: number;
  #writtenIndex: number;
  #timer: Timer | undefined;
  #inFlight: Promise<void> | undefined;
  #failure: Error | undefined;

  constructor(options: {
    readonly database: Database;
    readonly clock: Clock;
    readonly codec: Codec;
    readonly generation: number;
    readonly index: number;
    readonly delayMs: number;
  }) {
    this.#database = options.database;
    this.#clock = options.clock;
    this.#codec = options.codec;
    this.#delayMs = options.delayMs;
    this.#generation = options.generation;
    this.#index = options.index;
    this.#writtenIndex = options.index;
  }

  /**
   * Adds what one entry changed.
   * @throws the error of an earlier write: what is on disk is unknown then, the member must stop
   */
  add(index: number, writes: readonly Write[]): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#index = index;
    for (const { kind, id, stored } of writes) {
      this.#pending.set(objectKey(this.#generation, kind, id), stored);
    }
    if (this.#timer === undefined && this.#inFlight === undefined) this.#arm();
  }

  /** Resolves once everything added before the call is on disk. */
  async flush(): Promise<void> {
    const target = this.#index;
    while (this.#writtenIndex < target) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#write();
    }
  }

  /** From now on, writes go to another generation, which is of `index`. Everything must be flushed. */
  switchTo(generation: number, index: number): void {
    if (this.#pending.size > 0 || this.#inFlight !== undefined)
      throw new Error('a generation is switched only when all is written');
    this.#generation = generation;
    this.#index = index;
    this.#writtenIndex = index;
  }

  /** Writes what is left and stops. */
  async close(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.flush();
    } finally {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #arm(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      // A failure is kept and thrown by the next `add` or `flush`.
      this.#write().catch(() => {});
    }, this.#delayMs);
  }

  /** Joins the batch in flight, or makes one of all that is pending. */
  #write(): Promise<void> {
    if (this.#inFlight !== undefined) return this.#inFlight;
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#inFlight = this.#writeBatch().finally(() => {
      this.#inFlight = undefined;
      if (this.#failure === undefined && this.#writtenIndex < this.#index) this.#arm();
    });
    return this.#inFlight;
  }

  async #writeBatch(): Promise<void> {
    const pending = this.#pending;
    const index = this.#index;
    this.#pending = new Map();
    try {
      const batch = this.#database.batch();
      for (const [key, object] of pending) {
        if (object === undefined) batch.del(key);
        else batch.put(key, this.#codec.encode(object));
      }
      batch.put(appliedKey(this.#generation), encodeNumber(index));
      await batch.write({ sync: true });
      this.#writtenIndex = index;
    } catch (error) {
      this.#failure = new Error('the state cannot be written to its database', { cause: error });
      throw this.#failure;
    }
  }
}
