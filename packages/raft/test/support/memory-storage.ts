import { EMPTY_CONF } from '../../src/core/conf-change.js';
import type { Entry, HardState, SnapshotMeta } from '../../src/core/types.js';
import type { Clock } from '../../src/host/clock.js';
import type { LogStorage, Persist, Recovered } from '../../src/storage/storage.js';

export const NO_SNAPSHOT: SnapshotMeta = {
  index: 0,
  term: 0,
  conf: EMPTY_CONF,
  members: [],
  removed: [],
};

/** What survives a crash of one member's log. */
export class TestDisk {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  snapshot: SnapshotMeta = NO_SNAPSHOT;
  entries: readonly Entry[] = [];
  /** How long a write takes. */
  latencyMs = 1;
  /** Writes hang for as long as this is set. */
  stalled = false;
  /** Writes fail while this is set. */
  broken = false;
  writes = 0;

  write({ hardState, entries, snapshot }: Persist): void {
    this.writes++;
    if (snapshot !== undefined) {
      this.snapshot = snapshot;
      this.entries = [];
    }
    const first = entries[0];
    if (first !== undefined) {
      const kept = this.entries.filter(({ index }) => index < first.index);
      const last = kept.at(-1)?.index ?? this.snapshot.index;
      if (first.index !== last + 1) throw new Error(`a gap before entry ${first.index}`);
      this.entries = [...kept, ...entries];
    }
    if (hardState !== undefined) this.hardState = hardState;
  }

  compact(meta: SnapshotMeta): void {
    if (meta.index <= this.snapshot.index) return;
    this.snapshot = meta;
    this.entries = this.entries.filter(({ index }) => index > meta.index);
  }
}

/** A log in memory that enforces its contract: no two writes at once. */
export class TestStorage implements LogStorage {
  private readonly disk: TestDisk;
  private readonly clock: Clock;
  private busy = false;
  private crashed = false;
  closed = false;
  private abandon: ((error: Error) => void) | undefined;

  constructor(disk: TestDisk, clock: Clock) {
    this.disk = disk;
    this.clock = clock;
  }

  async open(): Promise<Recovered> {
    const { hardState, snapshot, entries } = this.disk;
    return { hardState, snapshot, entries, firstIndex: snapshot.index + 1 };
  }

  persist(write: Persist): Promise<void> {
    if (this.busy) return Promise.reject(new Error('two writes at once'));
    this.busy = true;
    return new Promise((resolve, reject) => {
      this.abandon = reject;
      const finish = () => {
        if (this.crashed) return;
        if (this.disk.stalled) {
          this.clock.setTimeout(finish, 10);
          return;
        }
        this.busy = false;
        if (this.disk.broken) {
          reject(new Error('EIO'));
          return;
        }
        try {
          this.disk.write(write);
          resolve();
        } catch (error) {
          reject(error);
        }
      };
      this.clock.setTimeout(finish, this.disk.latencyMs);
    });
  }

  async compact(meta: SnapshotMeta): Promise<void> {
    if (!this.crashed) this.disk.compact(meta);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  /** Loses the write under way. */
  crash(): void {
    this.crashed = true;
    this.abandon?.(new Error('crashed'));
  }
}
