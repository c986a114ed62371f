import {
  type Entry,
  type HardState,
  type Index,
  type LogStorage,
  type Persist,
  type Recovered,
  type SnapshotMeta,
  StorageCorruptError,
  type Term,
} from '@swarm/raft';
import { Violation } from '@swarm/sim';

/** A moment in a write at which a process may die. */
export type StorageStep = 'opening' | 'begun' | 'file' | 'done';

/**
 * What a member's disk has acknowledged as durable, kept beside the disk and never lost: what the
 * log must return after any crash.
 */
export class DurableLog {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  baseIndex: Index = 0;
  baseTerm: Term = 0;
  entries: Entry[] = [];
  /** The log's description of its base; undefined while it starts at the very beginning. */
  start: SnapshotMeta | undefined;
  #pending: Persist[] = [];

  get lastIndex(): Index {
    return this.baseIndex + this.entries.length;
  }

  term(index: Index): Term | undefined {
    if (index === this.baseIndex) return this.baseTerm;
    return this.entries[index - this.baseIndex - 1]?.term;
  }

  /** Reports whether the entry is durable here; compacted entries were. */
  holds(index: Index, term: Term): boolean {
    return index < this.baseIndex || this.term(index) === term;
  }

  /** Begun but not acknowledged: a crash may keep it or lose it. */
  begun(write: Persist): void {
    this.#pending.push(write);
  }

  acknowledged(write: Persist): void {
    if (!write.mustSync) return;
    this.#pending = [];
    this.#write(write);
  }

  #write({ hardState, entries, snapshot }: Persist): void {
    if (snapshot !== undefined) {
      this.baseIndex = snapshot.index;
      this.baseTerm = snapshot.term;
      this.start = snapshot;
      this.entries = [];
    }
    const first = entries[0]?.index;
    if (first !== undefined) {
      this.entries.length = Math.max(0, Math.min(this.entries.length, first - this.baseIndex - 1));
      for (const entry of entries) if (entry.index > this.baseIndex) this.entries.push(entry);
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  compacted(meta: SnapshotMeta): void {
    if (meta.index <= this.baseIndex) return;
    this.entries = this.entries.slice(meta.index - this.baseIndex);
    this.baseIndex = meta.index;
    this.baseTerm = meta.term;
    this.start = meta;
  }

  /**
   * Compares what a log returns with what it acknowledged. Besides that, the log may have the first
   * of the unacknowledged writes.
   * @throws Violation
   */
  recovered(found: Recovered): void {
    const wanted = new DurableLog();
    Object.assign(wanted, this, { entries: [...this.entries] });
    const tried: string[] = [];
    for (const write of [undefined, ...this.#pending]) {
      if (write !== undefined) wanted.#write(write);
      const difference = wanted.#difference(found);
      if (difference === undefined) {
        this.hardState = found.hardState;
        this.baseIndex = found.snapshot.index;
        this.baseTerm = found.snapshot.term;
        if (found.snapshot.index > 0) this.start = found.snapshot;
        this.entries = [...found.entries];
        this.#pending = [];
        return;
      }
      tried.push(difference);
    }
    throw new Violation('durability', `the log is not what was acknowledged: ${tried.join('; ')}`);
  }

  #difference({ hardState, snapshot, entries }: Recovered): string | undefined {
    const { term, vote } = this.hardState;
    if (hardState.term !== term || hardState.vote !== vote) {
      return `vote ${hardState.vote} in term ${hardState.term}, not ${vote} in ${term}`;
    }
    const last = snapshot.index + entries.length;
    if (last !== this.lastIndex) return `the log ends at ${last}, not at ${this.lastIndex}`;
    for (const entry of entries) {
      const wanted = this.term(entry.index);
      if (wanted !== undefined && wanted !== entry.term) {
        return `entry ${entry.index} is of term ${entry.term}, not ${wanted}`;
      }
    }
    return undefined;
  }
}

/** Receives each step of a log's writes, and what became durable. */
export interface StorageWatcher {
  step(step: StorageStep): void;
  /** Resolves when a disk would have been read. */
  reading(): Promise<void>;
  /** Reports whether the disk was damaged in a way that the log is not expected to detect. */
  lossGoesUnnoticed(): boolean;
  readonly durable: DurableLog;
}

/** A watched log. Does nothing itself. */
export class WatchedStorage implements LogStorage {
  readonly #inner: LogStorage;
  readonly #watcher: StorageWatcher;

  constructor(inner: LogStorage, watcher: StorageWatcher) {
    this.#inner = inner;
    this.#watcher = watcher;
  }

  async open(): Promise<Recovered> {
    this.#watcher.step('opening');
    await this.#watcher.reading();
    const recovered = await this.#inner.open();
    this.#compare(recovered);
    return recovered;
  }

  /**
   * We see a loss that the log cannot detect: the member may not continue on it any more than on
   * one it can.
   */
  #compare(recovered: Recovered): void {
    try {
      this.#watcher.durable.recovered(recovered);
    } catch (error) {
      if (!this.#watcher.lossGoesUnnoticed()) throw error;
      throw new StorageCorruptError((error as Error).message);
    }
  }

  async persist(write: Persist): Promise<void> {
    this.#watcher.durable.begun(write);
    this.#watcher.step('begun');
    await this.#inner.persist(write);
    this.#watcher.durable.acknowledged(write);
    this.#watcher.step('done');
  }

  async compact(meta: SnapshotMeta): Promise<void> {
    this.#watcher.step('begun');
    await this.#inner.compact(meta);
    this.#watcher.durable.compacted(meta);
    this.#watcher.step('done');
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}
