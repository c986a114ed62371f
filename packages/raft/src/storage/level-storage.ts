import { assert, RaftFaultError } from '../core/assert.js';
import type { HardState, MemberId, SnapshotMeta } from '../core/types.js';
import { PLAIN, type RecordCipher } from './cipher.js';
import { type Database, type OpenDatabase, openLevelDatabase } from './database.js';
import { failed, StorageFailedError } from './errors.js';
import { type FileSystem, NODE_FILES } from './file-system.js';
import { type FolderSync, makeDurableFolder, syncFolder } from './folder-sync.js';
import type { IdentityKeeper } from './identity-keeper.js';
import { META_KEY, recordKey } from './keys.js';
import { encodeLogMeta } from './log-meta.js';
import { openStore } from './opening.js';
import { Exclusive } from '../exclusive.js';
import { merge, nextRecord } from './next-record.js';
import { encodeRecord, type LogRecord } from './record.js';
import type { Spans } from './spans.js';
import type { LogStorage, Persist, Recovered } from './storage.js';
import { Trimmer } from './trimmer.js';

export interface LevelStorageOptions {
  /** The log's own folder; made if missing. Holds `identity` and, in `log/`, the database. */
  readonly path: string;
  readonly clusterId: string;
  readonly memberId: MemberId;
  /** Encrypts records. Default: no encryption. */
  readonly cipher?: RecordCipher;
  /** Size of LevelDB's write buffer, of which there may be two. Default WRITE_BUFFER_BYTES. */
  readonly writeBufferBytes?: number;
  /** Default: LevelDB. */
  readonly openDatabase?: OpenDatabase;
  /**
   * The file system for the files beside LevelDB's, and for reading LevelDB's. Default: the
   * computer's own.
   */
  readonly files?: FileSystem;
}

/**
 * Chosen by measurement (see README). Larger buffers do not make the log faster, because each
 * record is synced anyway, and cost resident memory.
 */
export const WRITE_BUFFER_BYTES = 2 * 1024 * 1024;

/** Records after which the lower bound in the identity file is raised. */
export const BOUND_INTERVAL_RECORDS = 1024;

/**
 * Unsynced writes are repeated in the next record. A record with more entries than this is synced.
 */
const PROVISIONAL_LIMIT_ENTRIES = 256;

/** What exists while the store is open. */
interface Opened {
  readonly database: Database;
  readonly keeper: IdentityKeeper;
  readonly folder: FolderSync;
  readonly trimmer: Trimmer;
  readonly spans: Spans;
}

/**
 * The log in LevelDB, used as a write-ahead log: each durable write is one record under the next
 * sequence number, and reading the records in order gives the log. Raft paper §5.1 says what must
 * survive. The README of the package has the format and lists the losses it detects.
 */
export class LevelStorage implements LogStorage {
  private readonly options: LevelStorageOptions;
  private readonly cipher: RecordCipher;
  private readonly files: FileSystem;
  private opened: Opened | undefined;
  private failure: Error | undefined;
  /** As of the last write that resolved. */
  private hardState: HardState = { term: 0, vote: 0, commit: 0 };
  private nextSequence = 1;
  /** What was written unsynced under `nextSequence`. */
  private provisional: LogRecord | undefined;
  private persisting = false;
  /** Compactions and snapshots both write the start of the log: one after another. */
  private readonly startWrites = new Exclusive();

  constructor(options: LevelStorageOptions) {
    assert(
      Number.isSafeInteger(options.memberId) && options.memberId > 0,
      'member id out of range',
    );
    this.options = options;
    this.cipher = options.cipher ?? PLAIN;
    this.files = options.files ?? NODE_FILES;
  }

  /**
   * @throws StorageCorruptError, StorageLockedError, StorageIdentityError, StorageUnreadableError,
   * or the disk's error
   */
  async open(): Promise<Recovered> {
    assert(this.opened === undefined, 'the log is already open');
    await makeDurableFolder(this.files, this.options.path);
    const { writeBufferBytes = WRITE_BUFFER_BYTES } = this.options;
    const onError = (error: unknown): void => void this.fail(error);
    const store = await openStore({
      path: this.options.path,
      clusterId: this.options.clusterId,
      memberId: this.options.memberId,
      cipher: this.cipher,
      writeBufferBytes,
      openDatabase: this.options.openDatabase ?? openLevelDatabase,
      files: this.files,
      onError,
    });
    const { database, keeper, folder, meta, recovery } = store;
    try {
      await syncFolder(this.files, this.options.path);
    } catch (error) {
      await folder.close();
      await database.close();
      throw error;
    }
    const { spans, hardState, snapshot, entries, provisional } = recovery;
    const trimmer = new Trimmer(database, meta.deletedBelow, writeBufferBytes, onError);
    trimmer.trim(meta.firstSequence);
    this.opened = { database, keeper, folder, trimmer, spans };
    this.failure = undefined;
    this.hardState = hardState;
    this.provisional = provisional;
    this.nextSequence = provisional?.sequence ?? recovery.nextSequence;
    return { hardState, snapshot, entries, firstIndex: spans.startIndex + 1 };
  }

  /** @throws StorageFailedError, also for each call after the first that failed */
  async persist(write: Persist): Promise<void> {
    const opened = this.usable();
    assert(!this.persisting, 'two writes of the log at once would be reordered');
    this.persisting = true;
    try {
      if (write.snapshot === undefined) await this.writeRecord(opened, write);
      else await this.inStartTurn(() => this.writeRecord(opened, write));
    } catch (error) {
      throw this.fail(error);
    } finally {
      this.persisting = false;
    }
  }

  /** @throws StorageFailedError */
  async compact(meta: SnapshotMeta): Promise<void> {
    const opened = this.usable();
    try {
      await this.inStartTurn(() => this.writeStart(opened, meta));
    } catch (error) {
      throw this.fail(error);
    }
  }

  async close(): Promise<void> {
    const { opened } = this;
    if (opened === undefined) return;
    this.opened = undefined;
    await this.startWrites.idle();
    await opened.trimmer.stop();
    await opened.keeper.idle();
    try {
      // After an orderly stop the bound is exact, so any loss is detected.
      if (this.failure === undefined) {
        await opened.keeper.change({ durableSequence: this.nextSequence - 1 });
      }
    } finally {
      await opened.folder.close();
      await opened.database.close();
    }
  }

  private async writeRecord(opened: Opened, write: Persist): Promise<void> {
    const { spans } = opened;
    const sequence = this.nextSequence;
    const record = merge(
      this.provisional,
      nextRecord(write, sequence, { hardState: this.hardState, spans }),
    );
    const sync = write.mustSync || record.entries.length > PROVISIONAL_LIMIT_ENTRIES;
    const value = encodeRecord({ ...record, provisional: !sync }, this.cipher);
    const key = recordKey(sequence);
    const replaced = sync ? record.snapshot : undefined;
    if (replaced === undefined) {
      await opened.database.write([[key, value]], { sync });
    } else {
      const start = this.startAt(opened, sequence, replaced, record.hardState);
      await opened.database.write([[key, value], start], { sync });
    }
    if (sync) await opened.folder.settle();
    opened.trimmer.wrote(value.length);

    this.hardState = record.hardState;
    this.provisional = sync ? undefined : record;
    if (write.snapshot !== undefined) spans.reset(write.snapshot.index);
    const [first] = write.entries;
    if (first !== undefined) spans.append(sequence, first.index, write.entries.at(-1)!.index);
    if (!sync) return;
    this.nextSequence++;
    if (replaced !== undefined) opened.trimmer.trim(sequence);
    if (sequence - opened.keeper.durableSequence >= BOUND_INTERVAL_RECORDS) {
      opened.keeper.advance(sequence);
    }
  }

  private async writeStart(opened: Opened, snapshot: SnapshotMeta): Promise<void> {
    const { spans, trimmer } = opened;
    if (snapshot.index <= spans.startIndex) return;
    const firstSequence = spans.firstNeeded(snapshot.index) ?? this.nextSequence;
    const start = this.startAt(opened, firstSequence, snapshot, this.hardState);
    await opened.database.write([start], { sync: true });
    await opened.folder.settle();
    spans.compact(snapshot.index);
    trimmer.trim(firstSequence);
    opened.keeper.advance(this.nextSequence - 1);
  }

  private startAt(
    { trimmer }: Opened,
    firstSequence: number,
    snapshot: SnapshotMeta,
    hardState: HardState,
  ): [Uint8Array, Uint8Array] {
    const { deletedBelow } = trimmer;
    const meta = { firstSequence, deletedBelow, hardState, snapshot };
    return [META_KEY, encodeLogMeta(meta, this.cipher)];
  }

  private inStartTurn(task: () => Promise<void>): Promise<void> {
    return this.startWrites.run(() => {
      if (this.failure !== undefined) throw this.failure;
      return task();
    });
  }

  private usable(): Opened {
    if (this.failure !== undefined) throw this.failure;
    if (this.opened !== undefined) return this.opened;
    throw new StorageFailedError(`The Raft log in ${this.options.path} is not open.`);
  }

  /** Keeps the first error for ever: after a failed sync nobody knows what is on disk. */
  private fail(error: unknown): Error {
    const told = error instanceof StorageFailedError || error instanceof RaftFaultError;
    this.failure ??= told ? error : failed(this.options.path, error);
    return this.failure;
  }
}
