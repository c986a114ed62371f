import type { StateView } from '@swarm/raft';
import {
  appliedKey,
  CURRENT_KEY,
  type Database,
  type DatabaseSnapshot,
  decodeNumber,
  kindOfKey,
  objectRange,
  StateDatabaseError,
} from './database.js';
import { type EncodedObject, writeSnapshot } from './snapshot-stream.js';

/** How many keys and bytes to read from the database at once. */
const READ_KEYS = 256;
const READ_BYTES = 64 * 1024;

/** The state at one index, read from a LevelDB snapshot, which later writes do not change. */
export class DatabaseView implements StateView {
  readonly index: number;
  readonly #database: Database;
  readonly #snapshot: DatabaseSnapshot;
  readonly #generation: number;

  /** The state as the database has it now. The caller releases the view. */
  static async open(database: Database): Promise<DatabaseView> {
    const snapshot = database.snapshot();
    try {
      const generation = await read(database, snapshot, CURRENT_KEY);
      const index = await read(database, snapshot, appliedKey(generation));
      return new DatabaseView(database, snapshot, generation, index);
    } catch (error) {
      await snapshot.close();
      throw error;
    }
  }

  private constructor(
    database: Database,
    snapshot: DatabaseSnapshot,
    generation: number,
    index: number,
  ) {
    this.#database = database;
    this.#snapshot = snapshot;
    this.#generation = generation;
    this.index = index;
  }

  /** May be read more than once, each time from the start. */
  chunks(): AsyncIterable<Uint8Array> {
    return writeSnapshot(this.index, this.#objects());
  }

  /** Waits for a read under way. Safe to call again. */
  async release(): Promise<void> {
    await this.#snapshot.close();
  }

  async *#objects(): AsyncGenerator<EncodedObject, void, undefined> {
    const iterator = this.#database.iterator({
      ...objectRange(this.#generation),
      snapshot: this.#snapshot,
      highWaterMarkBytes: READ_BYTES,
    });
    try {
      for (;;) {
        const entries = await iterator.nextv(READ_KEYS);
        if (entries.length === 0) return;
        for (const [key, value] of entries) yield { kind: kindOfKey(key), value };
      }
    } finally {
      await iterator.close();
    }
  }
}

async function read(database: Database, snapshot: DatabaseSnapshot, key: string): Promise<number> {
  const value = await database.get(key, { snapshot });
  if (value === undefined) throw new StateDatabaseError(`the state is damaged: ${key} is missing`);
  return decodeNumber(key, value);
}
