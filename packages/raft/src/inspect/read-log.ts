import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Entry, HardState, SnapshotMeta } from '../core/types.js';
import { PLAIN, type RecordCipher } from '../storage/cipher.js';
import { checkAfterCrash, complaintsOfLevelDb } from '../storage/crash-check.js';
import { type Database, openLevelDatabase } from '../storage/database.js';
import { StorageLockedError } from '../storage/errors.js';
import { type Identity, readIdentity } from '../storage/identity-file.js';
import { INCARNATION_KEY, META_KEY, RECORDS_END, recordKey, sequenceOf } from '../storage/keys.js';
import { decodeIncarnation, decodeLogMeta } from '../storage/log-meta.js';
import { decodeRecord } from '../storage/record.js';
import { EMPTY_META, Recovery } from '../storage/recovery.js';
import { databaseHolder } from './store-lock.js';

/** What the folder of a log holds, as far as it can be read, and what is wrong with it. */
export interface LogReport {
  /** Undefined when the file is missing or damaged. */
  readonly identity: Identity | undefined;
  /** How often the log was opened. */
  readonly incarnation: number;
  readonly hardState: HardState;
  /** The point where the log starts. */
  readonly snapshot: SnapshotMeta;
  /** Up to the first record that is missing or damaged. */
  readonly entries: readonly Entry[];
  /** Sequence numbers of the first and last record; 0 without records. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly records: number;
  /** Torn writes that were never acknowledged. The next start drops them; they are not problems. */
  readonly torn: readonly string[];
  /** Why a member must not start on it, one sentence each. Empty: the log is whole. */
  readonly problems: readonly string[];
}

const READ_BUFFER_BYTES = 2 * 1024 * 1024;

/**
 * Reads the log of a member that is not running. Changes nothing in the folder: LevelDB, which
 * tidies up when it opens, gets a copy. Makes all the checks of a start, and continues after the
 * first that fails.
 * @param path as in LevelStorageOptions
 * @throws StorageLockedError when a process has it open; errors of the disk
 */
export async function readLog(
  path: string,
  options: { readonly cipher?: RecordCipher; readonly temporary?: string } = {},
): Promise<LogReport> {
  const reader = new RaftLogReader(options.cipher ?? PLAIN);
  const holder = await databaseHolder(join(path, 'log'));
  if (holder !== undefined) {
    throw new StorageLockedError(
      `The Raft log in ${path} is in use by process ${holder}: stop that daemon first, or ask it.`,
    );
  }
  const copy = await mkdtemp(join(options.temporary ?? tmpdir(), 'raft-inspect-'));
  try {
    return await reader.read(path, join(copy, 'log'));
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

class RaftLogReader {
  readonly #cipher: RecordCipher;
  readonly #problems: string[] = [];
  #torn: readonly string[] = [];
  #incarnation = 0;
  #first = 0;
  #last = 0;
  #records = 0;

  constructor(cipher: RecordCipher) {
    this.#cipher = cipher;
  }

  async read(path: string, copy: string): Promise<LogReport> {
    const identity = await this.#identity(path);
    const recovery = await this.#database(path, copy, identity);
    const { hardState, snapshot, entries } = recovery;
    return {
      identity,
      incarnation: this.#incarnation,
      hardState,
      snapshot,
      entries,
      firstSequence: this.#first,
      lastSequence: this.#last,
      records: this.#records,
      torn: this.#torn,
      problems: this.#problems,
    };
  }

  async #identity(path: string): Promise<Identity | undefined> {
    let identity: Identity | undefined;
    try {
      identity = await readIdentity(join(path, 'identity'));
      if (identity === undefined) this.#problems.push('the identity file is missing');
    } catch (error) {
      this.#problems.push((error as Error).message);
    }
    if (identity?.condemned !== undefined)
      this.#problems.push(`an earlier start found it damaged: ${identity.condemned}`);
    return identity;
  }

  async #database(path: string, copy: string, identity: Identity | undefined): Promise<Recovery> {
    const nothing = new Recovery(EMPTY_META);
    try {
      await cp(join(path, 'log'), copy, { recursive: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#problems.push('the database is missing');
      return nothing;
    }
    const { damage, torn } = await checkAfterCrash(copy);
    this.#torn = torn;
    if (damage !== undefined) this.#problems.push(damage);
    let database: Database;
    try {
      database = await openLevelDatabase(copy, {
        createIfMissing: false,
        writeBufferBytes: READ_BUFFER_BYTES,
      });
    } catch (error) {
      this.#problems.push(`LevelDB cannot open it: ${(error as Error).message}`);
      return nothing;
    }
    try {
      const complaints = await complaintsOfLevelDb(copy, torn);
      if (complaints !== undefined) this.#problems.push(`LevelDB says: ${complaints}`);
      return await this.#readRecords(database, identity);
    } finally {
      await database.close();
    }
  }

  async #readRecords(database: Database, identity: Identity | undefined): Promise<Recovery> {
    let meta = EMPTY_META;
    await this.#attempt('the start of the log', async () => {
      const start = await database.get(META_KEY);
      if (start !== undefined) meta = decodeLogMeta(start, this.#cipher);
    });
    await this.#attempt('the incarnation', async () => {
      const mark = await database.get(INCARNATION_KEY);
      if (mark !== undefined) this.#incarnation = decodeIncarnation(mark, this.#cipher);
    });
    const recovery = new Recovery(meta);
    let whole = true;
    await this.#attempt('the records', async () => {
      for await (const [key, value] of database.read(recordKey(meta.firstSequence), RECORDS_END)) {
        const sequence = sequenceOf(key);
        this.#records++;
        this.#first ||= sequence ?? 0;
        this.#last = sequence ?? this.#last;
        const fine = await this.#attempt(`record ${sequence}`, async () => {
          const record = decodeRecord(value, this.#cipher);
          if (whole) recovery.add(sequence, record);
        });
        whole &&= fine;
      }
    });
    if (whole) await this.#attempt('the end of the log', async () => recovery.finish());
    this.#bounds(recovery, identity);
    return recovery;
  }

  #bounds({ nextSequence }: Recovery, identity: Identity | undefined): void {
    if (identity === undefined) return;
    if (this.#incarnation < identity.incarnation) {
      this.#problems.push(
        `the database was opened ${this.#incarnation} times, the identity file says ` +
          `${identity.incarnation}: it is an old copy, or has lost its latest file`,
      );
    }
    if (nextSequence <= identity.durableSequence) {
      this.#problems.push(
        `the last record without a gap before it is ${nextSequence - 1}, but ${identity.durableSequence} was durable`,
      );
    }
  }

  /** @returns whether it succeeded; if not, adds a problem */
  async #attempt(at: string, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      this.#problems.push(`at ${at}: ${(error as Error).message}`);
      return false;
    }
  }
}
