import { assert } from './assert.js';
import type { Index, SnapshotMeta } from './types.js';

/**
 * How far the log has come on its way to the disk.
 *
 * The log itself lives in memory whole; this keeps two marks on it. Invariant:
 * `stable <= writing <= last index`. Entries up to `stable` are durable as they are now in memory,
 * those up to `writing` were handed to the storage. Cutting the log pulls both marks back.
 */
export class Unstable {
  stable: Index;
  writing: Index;
  /** A snapshot that replaced the log and was not handed to the storage yet. */
  snapshot: SnapshotMeta | undefined;
  /** Index of the last snapshot whose write has not completed; 0 if none. */
  snapshotWriting: Index = 0;

  constructor(last: Index) {
    this.stable = last;
    this.writing = last;
  }

  /** Entries from `first` on are new in memory. */
  changedFrom(first: Index): void {
    if (this.stable >= first) this.stable = first - 1;
    if (this.writing >= first) this.writing = first - 1;
  }

  /** Everything up to `last` is handed to the storage, and the snapshot with it. */
  taken(last: Index): void {
    assert(last >= this.writing, 'handed out less than before', last, this.writing);
    this.writing = last;
    if (this.snapshot !== undefined) {
      this.snapshotWriting = this.snapshot.index;
      this.snapshot = undefined;
    }
  }

  /** The storage has everything up to `index`. */
  stableTo(index: Index): void {
    assert(index <= this.writing, 'durable before it was written', index, this.writing);
    if (index > this.stable) this.stable = index;
  }

  snapshotStable(index: Index): void {
    if (this.snapshotWriting === index) this.snapshotWriting = 0;
  }

  /** The log was replaced by a snapshot. Nothing after it exists, so nothing after it is unwritten. */
  restore(snapshot: SnapshotMeta): void {
    this.snapshot = snapshot;
    this.stable = snapshot.index;
    this.writing = snapshot.index;
  }

  /** Whether a snapshot is not yet durable: the member must not campaign on it. */
  get installing(): boolean {
    return this.snapshot !== undefined || this.snapshotWriting !== 0;
  }
}
