import { assert } from '../core/assert.js';
import type { SnapshotMeta } from '../core/types.js';
import { PLAIN } from './cipher.js';
import { corrupt, StorageFailedError } from './errors.js';
import type { LogMeta } from './log-meta.js';
import { merge, nextRecord } from './next-record.js';
import { decodeRecord, encodeRecord, type LogRecord } from './record.js';
import { EMPTY_META, Recovery } from './recovery.js';
import type { LogStorage, Persist, Recovered } from './storage.js';

/** A write on its way to the platter. */
interface DiskWrite {
  readonly sequence: number;
  readonly value?: Uint8Array;
  readonly meta?: LogMeta;
}

/**
 * A disk in memory that outlives the process using it. Holds the very bytes that would be in the
 * database. A crash keeps what was synced, and as many of the other writes, in order, as it is told
 * to keep.
 */
export class MemoryDisk {
  private writes: DiskWrite[] = [];
  private records = new Map<number, Uint8Array>();
  private start: LogMeta = EMPTY_META;
  /** The process that opened the disk last. All earlier ones have crashed. */
  private holder: object | undefined;
  /** While set, every write fails with it. */
  failure: Error | undefined;

  /** Writes that a crash may lose. */
  get unsynced(): number {
    return this.writes.length;
  }

  /**
   * Simulates a crash of the process or a power cut. @param kept how many unsynced writes survive,
   * oldest first; default none
   */
  crash(kept = 0): void {
    for (const write of this.writes.slice(0, kept)) this.settle(write);
    this.writes = [];
    this.holder = undefined;
  }

  /** Flips a bit of a record that is on disk. @returns whether there is such a record */
  damage(sequence: number): boolean {
    this.sync();
    const value = this.records.get(sequence);
    if (value === undefined) return false;
    const flipped = new Uint8Array(value);
    flipped[flipped.length >> 1]! ^= 1;
    this.records.set(sequence, flipped);
    return true;
  }

  /** Copies a record's bytes into another's place too. @returns whether both records exist */
  misdirect(from: number, to: number): boolean {
    this.sync();
    const value = this.records.get(from);
    if (value === undefined || !this.records.has(to)) return false;
    this.records.set(to, value);
    return true;
  }

  /** Sequence numbers of the records that are on disk or on their way there. */
  sequences(): number[] {
    const all = new Set([...this.records.keys(), ...this.writes.map(({ sequence }) => sequence)]);
    return [...all].filter((sequence) => sequence > 0).sort((a, b) => a - b);
  }

  /** @internal */
  open(holder: object): Recovery {
    this.holder = holder;
    const recovery = new Recovery(this.readStart());
    for (const [sequence, value] of this.readRecords()) {
      recovery.add(sequence, decodeRecord(value, PLAIN));
    }
    recovery.finish();
    return recovery;
  }

  /** @internal */
  write(holder: object, write: DiskWrite): void {
    this.check(holder);
    this.writes.push(write);
  }

  /** @internal Checks that this process may continue. */
  check(holder: object): void {
    if (holder !== this.holder) throw new StorageFailedError('The process that wrote has crashed.');
    if (this.failure !== undefined) throw this.failure;
  }

  /** Completes the unsynced writes, as a sync or time does. */
  sync(): void {
    for (const write of this.writes) this.settle(write);
    this.writes = [];
  }

  private settle({ sequence, value, meta }: DiskWrite): void {
    if (value !== undefined) this.records.set(sequence, value);
    // A compaction under way may end after the snapshot that overtook it.
    if (meta === undefined || meta.snapshot.index < this.start.snapshot.index) return;
    this.start = meta;
    for (const old of this.records.keys()) if (old < meta.firstSequence) this.records.delete(old);
  }

  private readStart(): LogMeta {
    let { start } = this;
    for (const { meta } of this.writes) {
      if (meta !== undefined && meta.snapshot.index >= start.snapshot.index) start = meta;
    }
    return start;
  }

  private readRecords(): [number, Uint8Array][] {
    const from = this.readStart().firstSequence;
    const all = new Map(this.records);
    for (const { sequence, value } of this.writes) if (value) all.set(sequence, value);
    return [...all].filter(([sequence]) => sequence >= from).sort(([a], [b]) => a - b);
  }
}

export interface MemoryStorageOptions {
  readonly disk?: MemoryDisk;
  /**
   * Calls back when the disk has done a write: a simulator inserts its virtual time here. Until
   * then a crash may lose the write. Default: at once.
   */
  readonly schedule?: (done: () => void) => void;
}

/** The log in memory, with the semantics of a disk: for tests and simulation. */
export class MemoryStorage implements LogStorage {
  readonly disk: MemoryDisk;
  private readonly schedule: (done: () => void) => void;
  private recovery: Recovery | undefined;
  private nextSequence = 1;
  private provisional: LogRecord | undefined;
  private persisting = false;
  private failure: Error | undefined;

  constructor(options: MemoryStorageOptions = {}) {
    this.disk = options.disk ?? new MemoryDisk();
    this.schedule = options.schedule ?? ((done) => done());
  }

  async open(): Promise<Recovered> {
    assert(this.recovery === undefined, 'the log is already open');
    let recovery: Recovery;
    try {
      recovery = this.disk.open(this);
    } catch (error) {
      throw corrupt('memory', (error as Error).message, error);
    }
    this.recovery = recovery;
    this.failure = undefined;
    this.provisional = recovery.provisional;
    this.nextSequence = recovery.provisional?.sequence ?? recovery.nextSequence;
    const { hardState, snapshot, entries, spans } = recovery;
    return { hardState, snapshot, entries, firstIndex: spans.startIndex + 1 };
  }

  async persist(write: Persist): Promise<void> {
    const recovery = this.usable();
    const { spans } = recovery;
    assert(!this.persisting, 'two writes of the log at once would be reordered');
    const sequence = this.nextSequence;
    const record = merge(this.provisional, nextRecord(write, sequence, recovery));
    const { snapshot, hardState } = record;
    const start = write.mustSync ? snapshot : undefined;
    const meta = start && { ...EMPTY_META, firstSequence: sequence, hardState, snapshot: start };
    const value = encodeRecord(record, PLAIN);
    this.persisting = true;
    try {
      await this.put({ sequence, value, ...(meta && { meta }) }, write.mustSync);
    } finally {
      this.persisting = false;
    }
    recovery.hardState = hardState;
    if (write.snapshot !== undefined) spans.reset(write.snapshot.index);
    const [first] = write.entries;
    if (first !== undefined) spans.append(sequence, first.index, write.entries.at(-1)!.index);
    this.provisional = write.mustSync ? undefined : record;
    if (write.mustSync) this.nextSequence++;
  }

  async compact(snapshot: SnapshotMeta): Promise<void> {
    const { spans, hardState } = this.usable();
    if (snapshot.index <= spans.startIndex) return;
    const firstSequence = spans.firstNeeded(snapshot.index) ?? this.nextSequence;
    await this.put(
      { sequence: 0, meta: { ...EMPTY_META, firstSequence, hardState, snapshot } },
      true,
    );
    // A snapshot may have replaced the log meanwhile.
    if (snapshot.index > spans.startIndex) spans.compact(snapshot.index);
  }

  async close(): Promise<void> {
    this.recovery = undefined;
  }

  private async put(write: DiskWrite, sync: boolean): Promise<void> {
    try {
      this.disk.write(this, write);
      await new Promise<void>((resolve) => this.schedule(resolve));
      this.disk.check(this);
      if (sync) this.disk.sync();
    } catch (error) {
      this.failure = error as Error;
      throw error;
    }
  }

  private usable(): Recovery {
    if (this.failure !== undefined) throw this.failure;
    if (this.recovery !== undefined) return this.recovery;
    throw new StorageFailedError('The log is not open.');
  }
}
