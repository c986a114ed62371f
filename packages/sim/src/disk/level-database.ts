import type { Marks } from '../run/coverage.js';
import { Bytes, Items, Names } from './content.js';
import type { Database, DatabaseOptions, OpenDatabase, Operation } from './database.js';
import { type DiskTime, NEVER, type SimFiles } from './files.js';
import {
  CURRENT,
  INFO_LOG,
  keyBytes,
  keyText,
  levelError,
  logName,
  type Manifest,
  manifestName,
  numberOf,
  type Table,
  type TableRow,
  tableName,
  temporaryName,
  type Version,
} from './level-files.js';
import { encodeBatch, frame, readBatches } from './log-format.js';

/** The number of tables that are merged into one. LevelDB merges four in its first level, too. */
const MERGE_TABLES = 4;
/** What a change takes of the write buffer besides key and value. */
const ROW_OVERHEAD_BYTES = 16;

/** The events of a database that coverage counts. */
export type DatabaseMark = 'write-ahead file full' | 'tables merged';

type Rows = Map<string, Uint8Array | undefined>;

/**
 * LevelDB 1.20, as far as a log can tell: which files exist and when, what is synced and what is
 * not, what it drops and what it complains about (db/db_impl.cc, db/version_set.cc). One level of
 * tables stands for its seven. Every operation waits for the disk, so a process can die between any
 * two steps.
 */
export function simulatedLevel(
  files: SimFiles,
  time: DiskTime,
  coverage: Marks<DatabaseMark>,
): OpenDatabase {
  return async (folder, options) => {
    const database = new SimLevel(files, time, coverage, folder, options);
    await database.open();
    return database;
  };
}

class SimLevel implements Database {
  readonly #files: SimFiles;
  readonly #time: DiskTime;
  readonly #coverage: Marks<DatabaseMark>;
  readonly #path: string;
  readonly #options: DatabaseOptions;
  #rows: Rows = new Map();
  #rowsBytes = 0;
  /** What the previous write-ahead file holds, until it is in a table. */
  #full: Rows | undefined;
  #tables: readonly number[] = [];
  #manifest: Manifest = new Items<Version>();
  #manifestNumber = 0;
  #log = new Bytes();
  #logNumber = 0;
  /** Write-ahead files below it are in tables. */
  #firstLog = 0;
  /** Where LevelDB believes the end of the file is: a write that failed half-way counts in full. */
  #logOffset = 0;
  #nextFile = 2;
  #lastSequence = 0;
  #closing = false;
  /** After an error in the background, or in a sync, all writes fail. */
  #failure: Error | undefined;
  /** Writes run one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  #background: Promise<void> | undefined;

  constructor(
    files: SimFiles,
    time: DiskTime,
    coverage: Marks<DatabaseMark>,
    path: string,
    options: DatabaseOptions,
  ) {
    this.#files = files;
    this.#time = time;
    this.#coverage = coverage;
    this.#path = path;
    this.#options = options;
  }

  // --- Opening (DB::Open, DBImpl::Recover)

  async open(): Promise<void> {
    const files = this.#files;
    const path = this.#path;
    await this.#time.short();
    if (files.find(path) === undefined) this.#name('', new Names());
    if (files.locks.has(path)) {
      throw levelError('LEVEL_LOCKED', `IO error: lock ${path}/LOCK: already held by process`);
    }
    files.locks.add(path);
    try {
      await this.#recover();
    } catch (error) {
      files.locks.delete(path);
      throw error;
    }
  }

  async #recover(): Promise<void> {
    const complaints = new Bytes();
    this.#name(INFO_LOG, complaints);
    if (this.#find(CURRENT) === undefined) {
      if (!this.#options.createIfMissing) {
        throw levelError(
          'LEVEL_IO_ERROR',
          `Invalid argument: ${this.#path}: does not exist (create_if_missing is false)`,
        );
      }
      await this.#createCatalogue();
    }
    const version = this.#readCatalogue();
    this.#tables = version.tables;
    this.#manifestNumber = version.nextFile;
    this.#nextFile = version.nextFile + 1;
    this.#lastSequence = version.lastSequence;
    const missing = version.tables.filter((number) => this.#find(tableName(number)) === undefined);
    if (missing.length > 0) {
      throw levelError(
        'LEVEL_CORRUPTION',
        `Corruption: ${missing.length} missing files; e.g.: ${this.#path}/${tableName(missing[0]!)}`,
      );
    }
    const logs = this.#names()
      .filter((name) => name.endsWith('.log') && numberOf(name)! >= version.logNumber)
      .sort();
    for (const name of logs) {
      await this.#readLog(name, complaints);
      this.#nextFile = Math.max(this.#nextFile, numberOf(name)! + 1);
    }
    this.#startLog();
    this.#firstLog = this.#logNumber;
    await this.#time.short();
    await this.#newManifest();
    await this.#deleteObsolete();
  }

  /** LevelDB does not sync the first one. */
  async #createCatalogue(): Promise<void> {
    const manifest: Manifest = new Items<Version>();
    this.#name(manifestName(1), manifest);
    manifest.items.push({ logNumber: 0, nextFile: 2, lastSequence: 0, tables: [] });
    await this.#time.short();
    await this.#pointTo(1);
  }

  #readCatalogue(): Version {
    const current = Buffer.from(this.#files.bytes(`${this.#path}/${CURRENT}`)!.bytes).toString();
    if (!current.endsWith('\n')) {
      throw levelError('LEVEL_CORRUPTION', 'Corruption: CURRENT file does not end with newline');
    }
    const name = current.slice(0, -1);
    const manifest = this.#find(name);
    if (!(manifest instanceof Items)) {
      const what = `${this.#path}/${name}: No such file or directory`;
      throw levelError('LEVEL_IO_ERROR', `IO error: ${what}`);
    }
    const { items, unreadable } = manifest as Manifest;
    const version = items.at(-1);
    if (unreadable) throw levelError('LEVEL_CORRUPTION', 'Corruption: checksum mismatch');
    if (version === undefined) {
      throw levelError('LEVEL_CORRUPTION', 'Corruption: no meta-nextfile entry in descriptor');
    }
    return version;
  }

  async #readLog(name: string, complaints: Bytes): Promise<void> {
    await this.#time.short();
    const file = this.#files.bytes(`${this.#path}/${name}`)!;
    const batches = readBatches(file.bytes, (what) => {
      complaints.append(Buffer.from(`(ignoring error) ${this.#path}/${name}: ${what}\n`));
    });
    for (const { sequence, operations } of batches) {
      this.#insert(operations);
      this.#lastSequence = Math.max(this.#lastSequence, sequence + operations.length - 1);
      if (this.#rowsBytes > this.#options.writeBufferBytes) await this.#tableOfRows();
    }
    if (this.#rows.size > 0) await this.#tableOfRows();
  }

  async #tableOfRows(): Promise<void> {
    const number = await this.#writeTable([...this.#rows]);
    this.#tables = [...this.#tables, number];
    this.#rows = new Map();
    this.#rowsBytes = 0;
  }

  /** LogAndApply, the first time: writes a whole catalogue to a new file. */
  async #newManifest(): Promise<void> {
    this.#manifest = new Items<Version>();
    this.#name(manifestName(this.#manifestNumber), this.#manifest);
    await this.#addVersion(this.#tables);
    await this.#pointTo(this.#manifestNumber);
  }

  /** SetCurrentFile: writes a temporary file, syncs it, and renames it. */
  async #pointTo(manifest: number): Promise<void> {
    const files = this.#files;
    const path = this.#path;
    const draft = new Bytes();
    this.#name(temporaryName(manifest), draft);
    this.#io(() => files.append(path, draft, Buffer.from(`${manifestName(manifest)}\n`)));
    await this.#time.sync();
    draft.sync();
    const nowMs = this.#time.nowMs();
    files.rename(`${path}/${temporaryName(manifest)}`, `${path}/${CURRENT}`, nowMs);
    await this.#time.short();
  }

  // --- Reading

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    await this.#time.short();
    const text = keyText(key);
    for (const rows of [this.#rows, this.#full]) {
      if (rows?.has(text)) return rows.get(text);
    }
    for (const number of [...this.#tables].reverse()) {
      const row = this.#readTable(number).find(([name]) => name === text);
      if (row !== undefined) return row[1];
    }
    return undefined;
  }

  async *read(from: Uint8Array, to: Uint8Array): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    await this.#time.short();
    const [first, end] = [keyText(from), keyText(to)];
    const found: Rows = new Map();
    const add = ([key, value]: TableRow): void => {
      if (key >= first && key < end) found.set(key, value);
    };
    for (const number of this.#tables) this.#readTable(number).forEach(add);
    for (const rows of [this.#full, this.#rows]) if (rows !== undefined) [...rows].forEach(add);
    for (const key of [...found.keys()].sort()) {
      const value = found.get(key);
      if (value !== undefined) yield [keyBytes(key), value];
    }
  }

  #readTable(number: number): readonly TableRow[] {
    const table = this.#find(tableName(number)) as Table | undefined;
    if (table === undefined || table.unreadable) {
      throw levelError('LEVEL_CORRUPTION', `Corruption: bad block in ${tableName(number)}`);
    }
    return table.items;
  }

  // --- Writing (DBImpl::Write, MakeRoomForWrite)

  write(operations: readonly Operation[], { sync }: { readonly sync: boolean }): Promise<void> {
    return this.#inTurn(() => this.#append(operations, sync));
  }

  async #append(operations: readonly Operation[], sync: boolean): Promise<void> {
    await this.#makeRoom(this.#options.writeBufferBytes);
    const log = this.#log;
    const lastSequence = this.#lastSequence;
    const files = this.#files;
    const path = this.#path;
    const bytes = frame(encodeBatch({ sequence: lastSequence + 1, operations }), this.#logOffset);
    this.#lastSequence += operations.length;
    this.#logOffset += bytes.length;
    // LevelDB does not remember a failed append, and tries the next write all the same.
    this.#io(() => files.append(`${path}/${logName(this.#logNumber)}`, log, bytes));
    if (sync) {
      await this.#time.sync();
      log.sync();
    } else {
      await this.#time.short();
    }
    this.#insert(operations);
  }

  async #makeRoom(limitBytes: number): Promise<void> {
    while (this.#failure === undefined && this.#rowsBytes > limitBytes) {
      if (this.#full !== undefined) {
        await this.#background;
        continue;
      }
      // The previous file stays as it is, synced or not.
      this.#startLog();
      this.#coverage.mark('write-ahead file full');
      this.#full = this.#rows;
      this.#rows = new Map();
      this.#rowsBytes = 0;
      this.#startCompaction();
      await this.#time.short();
    }
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#time.alive) await NEVER;
  }

  #startCompaction(): void {
    const before = this.#background ?? Promise.resolve();
    this.#background = before
      .then(() => this.#compact())
      .catch((error: unknown) => {
        this.#failure ??= error as Error;
      });
  }

  #insert(operations: readonly Operation[]): void {
    for (const [key, value] of operations) {
      this.#rows.set(keyText(key), value);
      this.#rowsBytes += key.length + (value?.length ?? 0) + ROW_OVERHEAD_BYTES;
    }
  }

  #startLog(): void {
    const log = new Bytes();
    this.#name(logName(this.#nextFile), log);
    this.#log = log;
    this.#logNumber = this.#nextFile++;
    this.#logOffset = 0;
  }

  /** CompactRange, over everything. */
  reclaim(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#makeRoom(0);
      await this.#background;
      if (this.#failure === undefined) await this.#mergeTables();
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#turn;
    await this.#background;
    this.#files.locks.delete(this.#path);
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    if (this.#closing) {
      return Promise.reject(levelError('LEVEL_DATABASE_NOT_OPEN', 'Database is not open'));
    }
    const turn = this.#turn.then(task);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  // --- In the background (DBImpl::CompactMemTable, BackgroundCompaction)

  async #compact(): Promise<void> {
    if (this.#failure !== undefined || this.#closing) return;
    const number = await this.#writeTable([...this.#full!]);
    // A database that is closing leaves the rest to its next start.
    if (this.#closing) return;
    // There is no further file until this one is in a table.
    this.#firstLog = this.#logNumber;
    await this.#addVersion([...this.#tables, number]);
    this.#full = undefined;
    await this.#deleteObsolete();
    if (this.#tables.length >= MERGE_TABLES && !this.#closing) await this.#mergeTables();
  }

  async #mergeTables(): Promise<void> {
    const merged: Rows = new Map();
    for (const number of this.#tables) {
      for (const [key, value] of this.#readTable(number)) merged.set(key, value);
    }
    // There is nothing below, so markers of deleted keys are no longer needed.
    const rows = [...merged].filter(([, value]) => value !== undefined);
    const tables = rows.length === 0 ? [] : [await this.#writeTable(rows)];
    await this.#addVersion(tables);
    this.#coverage.mark('tables merged');
    await this.#deleteObsolete();
  }

  /** BuildTable: makes the content durable, but not the name. */
  async #writeTable(rows: TableRow[]): Promise<number> {
    await this.#time.short();
    const number = this.#nextFile++;
    const table: Table = new Items<TableRow>();
    this.#name(tableName(number), table);
    table.items = rows.sort(([a], [b]) => (a < b ? -1 : 1));
    await this.#time.sync();
    table.sync();
    return number;
  }

  /** LogAndApply: names in the folder are synced before the catalogue that relies on them. */
  async #addVersion(tables: readonly number[]): Promise<void> {
    const firstLog = this.#firstLog;
    const nextFile = this.#nextFile;
    const lastSequence = this.#lastSequence;
    const manifest = this.#manifest;
    this.#io(() => this.#files.needRoom(this.#path));
    manifest.items.push({ logNumber: firstLog, nextFile, lastSequence, tables });
    await this.#time.sync();
    this.#files.folder(this.#path).sync();
    await this.#time.sync();
    manifest.sync();
    this.#tables = tables;
  }

  async #deleteObsolete(): Promise<void> {
    for (const name of this.#names()) {
      const number = numberOf(name);
      if (number === undefined || this.#keeps(name, number)) continue;
      this.#name(name, undefined);
      await this.#time.short();
    }
  }

  #keeps(name: string, number: number): boolean {
    if (name.endsWith('.log')) return number >= this.#manifest.items.at(-1)!.logNumber;
    if (name.endsWith('.ldb')) return this.#tables.includes(number);
    return name === manifestName(this.#manifestNumber);
  }

  // --- Files

  #names(): string[] {
    return [...this.#files.folder(this.#path).now.keys()];
  }

  #find(name: string): unknown {
    return this.#files.find(`${this.#path}/${name}`);
  }

  #name(name: string, node: Bytes | Items<Version> | Table | Names | undefined): void {
    const path = name === '' ? this.#path : `${this.#path}/${name}`;
    this.#io(() => this.#files.name(path, node, this.#time.nowMs()));
  }

  /** Turns errors of files into LevelDB's words. */
  #io(work: () => void): void {
    try {
      work();
    } catch (error) {
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      const what = full ? 'No space left on device' : (error as Error).message;
      throw levelError('LEVEL_IO_ERROR', `IO error: ${this.#path}: ${what}`);
    }
  }
}
