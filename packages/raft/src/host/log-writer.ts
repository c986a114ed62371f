import type { AppendWork } from '../core/raw-node.js';
import type { Entry, HardState, SnapshotMeta } from '../core/types.js';
import type { LogStorage, Persist } from '../storage/storage.js';

/** Receives the duration of each synced write. */
export interface WriteMeter {
  now(): number;
  synced(ms: number): void;
}

/**
 * Makes the core's writes durable, one at a time and in order. What arrives during a write joins
 * the next one (group commit), because LevelDB reorders writes that are under way together.
 */
export class LogWriter {
  /** Ticks since the write under way began; 0 when no write is under way. */
  ticksInFlight = 0;
  private readonly storage: LogStorage;
  private readonly onDone: (works: readonly AppendWork[]) => void;
  private readonly onError: (error: unknown) => void;
  private readonly meter: WriteMeter;
  private waiting: AppendWork[] = [];
  private busy: Promise<void> | undefined;

  constructor(
    storage: LogStorage,
    onDone: (works: readonly AppendWork[]) => void,
    onError: (error: unknown) => void,
    meter: WriteMeter,
  ) {
    this.storage = storage;
    this.onDone = onDone;
    this.onError = onError;
    this.meter = meter;
  }

  /** Number of works that wait for the write under way. */
  get length(): number {
    return this.waiting.length;
  }

  add(work: AppendWork): void {
    this.waiting.push(work);
  }

  /** Starts the next write unless one is under way. Completes works that write nothing at once. */
  start(): void {
    if (this.busy !== undefined || this.waiting.length === 0) return;
    const works = this.waiting;
    this.waiting = [];
    const write = mergeWrites(works);
    if (write === undefined) {
      this.onDone(works);
      return;
    }
    const startMs = this.meter.now();
    this.busy = this.storage.persist(write).then(
      () => {
        if (write.mustSync) this.meter.synced(this.meter.now() - startMs);
        this.busy = undefined;
        this.ticksInFlight = 0;
        this.onDone(works);
      },
      (error: unknown) => {
        this.busy = undefined;
        this.onError(error);
      },
    );
  }

  tick(): void {
    if (this.busy !== undefined) this.ticksInFlight++;
  }

  /** Resolves when no write is under way. */
  async idle(): Promise<void> {
    await this.busy;
  }
}

/** Merges several writes into one with the same effect. Undefined when they write nothing. */
export function mergeWrites(works: readonly AppendWork[]): Persist | undefined {
  let hardState: HardState | undefined;
  let snapshot: SnapshotMeta | undefined;
  let entries: Entry[] = [];
  let mustSync = false;
  for (const work of works) {
    hardState = work.hardState ?? hardState;
    mustSync ||= work.mustSync;
    if (work.snapshot !== undefined) {
      snapshot = work.snapshot;
      entries = [];
    }
    const first = work.entries[0];
    if (first === undefined) continue;
    if (entries.length > 0) {
      // A later write may cut entries that an earlier one appended.
      const keep = first.index - entries[0]!.index;
      entries.length = Math.max(0, Math.min(entries.length, keep));
    }
    for (const entry of work.entries) entries.push(entry);
  }
  if (hardState === undefined && snapshot === undefined && entries.length === 0) return undefined;
  const write: { -readonly [K in keyof Persist]: Persist[K] } = { entries, mustSync };
  if (hardState !== undefined) write.hardState = hardState;
  if (snapshot !== undefined) write.snapshot = snapshot;
  return write;
}
