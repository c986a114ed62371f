import { type Clock, type Logger, PROGRAM, type Program, SerialQueue } from '@swarm/api';
import { type Entry, EntryKind, type SnapshotMeta, type StateMachine } from '@swarm/raft';
import { Codec, UndecodableError } from './command.js';
import {
  appliedKey,
  CURRENT_KEY,
  DATABASE_FORMAT,
  type Database,
  decodeNumber,
  encodeNumber,
  FORMAT_KEY,
  generationRange,
  idOfKey,
  kindOfKey,
  LAST_KEY,
  objectKey,
  objectRange,
  openDatabase,
  StateDatabaseError,
} from './database.js';
import { checkLevel } from './feature-levels.js';
import { kindOfCode } from './kinds.js';
import { MemoryState } from './memory-state.js';
import { shareParts } from './share-parts.js';
import { readSnapshot, SnapshotError } from './snapshot-stream.js';
import type { Kind, Objects } from './store.js';
import { Tables } from './tables.js';
import { DatabaseView } from './view.js';
import { WRITE_DELAY_MS, WriteBehind } from './write-behind.js';

/** Bytes of a restored snapshot that are written as one batch. */
const RESTORE_BATCH_BYTES = 256 * 1024;
/** Keys read at once while loading. */
const LOAD_KEYS = 256;

export interface StateMachineOptions {
  /** The database's folder; made when absent. */
  readonly folder: string;
  /** Default: LevelDB. */
  readonly openDatabase?: (folder: string) => Promise<Database>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Default WRITE_DELAY_MS. */
  readonly writeDelayMs?: number;
  /** Default PROGRAM. */
  readonly program?: Program;
  /** See MemoryStateOptions. */
  readonly freeze?: boolean;
}

/**
 * What Raft's log drives: objects in memory, and behind them the database from which the next start and
 * snapshots for others are made.
 */
export class StoreStateMachine implements StateMachine {
  /** The applied state; a ReplicatedStore reads and watches it. */
  readonly memory: MemoryState;
  readonly #database: Database;
  readonly #logger: Logger;
  readonly #writer: WriteBehind;
  readonly #program: Program;
  #generation: number;
  /** Highest number that any generation ever had. */
  #lastGeneration: number;
  readonly #cleanings = new SerialQueue();

  /**
   * Opens the database and loads everything.
   * @throws StateDatabaseError when it was written by a newer version or is damaged, FeatureLevelError when
   *   the cluster's level is not one of this program's
   */
  static async open(options: StateMachineOptions): Promise<StoreStateMachine> {
    const database = await (options.openDatabase ?? openDatabase)(options.folder);
    try {
      const program = options.program ?? PROGRAM;
      const codec = new Codec(program);
      const generations = await readGenerations(database);
      const tables = await load(database, codec, generations.current, program);
      return new StoreStateMachine(options, database, codec, generations, tables);
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  private constructor(
    options: StateMachineOptions,
    database: Database,
    codec: Codec,
    generations: Generations,
    tables: Tables,
  ) {
    const { clock, logger, freeze } = options;
    this.memory = new MemoryState({ logger, codec, ...(freeze === undefined ? {} : { freeze }) });
    this.memory.reset(tables);
    this.#database = database;
    this.#program = options.program ?? PROGRAM;
    this.#logger = logger;
    this.#generation = generations.current;
    this.#lastGeneration = generations.last;
    this.#writer = new WriteBehind({
      database,
      clock,
      codec,
      generation: generations.current,
      index: tables.index,
      delayMs: options.writeDelayMs ?? WRITE_DELAY_MS,
    });
    this.#clean();
  }

  get appliedIndex(): number {
    return this.memory.view.index;
  }

  apply(entries: readonly Entry[]): unknown[] {
    return entries.map(({ index, kind, data }) => {
      const normal = kind === EntryKind.Normal;
      const { result, writes = [] } = this.memory.apply(index, normal ? data : new Uint8Array());
      this.#writer.add(index, writes);
      return result;
    });
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  async view(): Promise<DatabaseView> {
    await this.flush();
    return DatabaseView.open(this.#database);
  }

  async restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await this.flush();
    // Each number is used once, so that leftovers of a failed attempt never turn up in a later one.
    const generation = this.#lastGeneration + 1;
    await this.#database.put(LAST_KEY, encodeNumber(generation), { sync: true });
    this.#lastGeneration = generation;
    // It would take the new generation for a leftover.
    await this.#cleanings.idle();
    let tables: Tables;
    try {
      tables = await this.#receive(generation, meta.index, chunks);
    } catch (error) {
      this.#clean();
      throw error;
    }
    await this.#database
      .batch()
      .put(appliedKey(generation), encodeNumber(meta.index))
      .put(CURRENT_KEY, encodeNumber(generation))
      .write({ sync: true });
    this.#generation = generation;
    this.#writer.switchTo(generation, meta.index);
    this.#clean();
    this.memory.reset(tables);
  }

  /** Writes what is left, closes the database, and ends views that are still open. */
  async close(): Promise<void> {
    try {
      await this.#writer.close();
    } finally {
      await this.#cleanings.idle();
      await this.#database.close();
    }
  }

  /**
   * Writes a stream as a generation that is not in use yet. Each batch is synced: an unsynced one could
   * be missing after a power cut although the later switch is there (see WriteBehind).
   */
  async #receive(
    generation: number,
    index: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<Tables> {
    const tables = new Tables();
    let batch = this.#database.batch();
    let bytes = 0;
    try {
      for await (const { tag, body } of readSnapshot(index, chunks)) {
        const kind = kindOfCode(tag);
        if (kind === undefined) {
          throw new SnapshotError(
            `the snapshot has kind ${tag}, which this version does not know: upgrade this manager`,
          );
        }
        const object = decodeFrame(this.memory.codec, body);
        // The cluster comes first, so before anything that this program may not know.
        if (kind === 'cluster') checkLevel(object as Objects['cluster'], this.#program);
        if (tables.stored(kind, object.ID) !== undefined)
          throw new SnapshotError(`the snapshot has ${kind} ${object.ID} twice`);
        tables.put(kind, shareParts(tables, kind, object));
        batch.put(objectKey(generation, kind, object.ID), body);
        bytes += body.length;
        if (bytes < RESTORE_BATCH_BYTES) continue;
        await batch.write({ sync: true });
        batch = this.#database.batch();
        bytes = 0;
      }
      await batch.write({ sync: true });
    } finally {
      await batch.close();
    }
    tables.setIndex(index);
    return tables;
  }

  /** Deletes all generations but the current one, in the background. */
  #clean(): void {
    const current = generationRange(this.#generation);
    this.#cleanings
      .run(async () => {
        await this.#database.clear({ gte: 'g', lt: current.gte });
        await this.#database.clear({ gte: current.lt, lt: 'h' });
      })
      .catch((error: unknown) => {
        // Only space is lost, until the next start.
        this.#logger.error({ err: error }, 'leftovers of a snapshot could not be deleted');
      });
  }
}

/** @throws SnapshotError */
function decodeFrame(codec: Codec, body: Uint8Array): Objects[Kind] {
  try {
    return codec.decodeObject(body);
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    throw new SnapshotError(`the snapshot is damaged: ${error.message}`, { cause: error });
  }
}

/**
 * Decodes a record. Readers of the tables deal with bad fields. Only a record without its id or version stops
 * the member: it could no longer tell which changes to accept, and its state would diverge.
 * @throws StateDatabaseError
 */
function decodeRecord(codec: Codec, key: string, value: Uint8Array): Objects[Kind] {
  try {
    return codec.decodeObject(value, idOfKey(key));
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    throw new StateDatabaseError(
      `the state is damaged at ${key}: ${error.message}. Remove this manager with "swarm node rm" and join it again, or restore a backup`,
      { cause: error },
    );
  }
}

interface Generations {
  readonly current: number;
  readonly last: number;
}

/** The generation in use; makes the first one in an empty database. */
async function readGenerations(database: Database): Promise<Generations> {
  const format = await database.get(FORMAT_KEY);
  if (format === undefined) {
    await database
      .batch()
      .put(FORMAT_KEY, encodeNumber(DATABASE_FORMAT))
      .put(CURRENT_KEY, encodeNumber(1))
      .put(LAST_KEY, encodeNumber(1))
      .put(appliedKey(1), encodeNumber(0))
      .write({ sync: true });
    return { current: 1, last: 1 };
  }
  if (decodeNumber(FORMAT_KEY, format) !== DATABASE_FORMAT) {
    throw new StateDatabaseError(
      `the state has format ${decodeNumber(FORMAT_KEY, format)}, this version reads ${DATABASE_FORMAT}: upgrade this manager`,
    );
  }
  const read = async (key: string) => {
    const value = await database.get(key);
    if (value === undefined) throw new StateDatabaseError(`the state is damaged: no key ${key}`);
    return decodeNumber(key, value);
  };
  return { current: await read(CURRENT_KEY), last: await read(LAST_KEY) };
}

async function load(
  database: Database,
  codec: Codec,
  generation: number,
  program: Program,
): Promise<Tables> {
  const tables = new Tables();
  const key = appliedKey(generation);
  const applied = await database.get(key);
  if (applied === undefined)
    throw new StateDatabaseError(`the state is damaged: ${key} is missing`);
  const iterator = database.iterator(objectRange(generation));
  try {
    for (;;) {
      const entries = await iterator.nextv(LOAD_KEYS);
      if (entries.length === 0) break;
      for (const [objectKey, value] of entries) {
        const kind = kindOfKey(objectKey);
        const object = decodeRecord(codec, objectKey, value);
        if (kind === 'cluster') checkLevel(object as Objects['cluster'], program);
        tables.put(kind, shareParts(tables, kind, object));
      }
    }
  } finally {
    await iterator.close();
  }
  tables.setIndex(decodeNumber(key, applied));
  return tables;
}
