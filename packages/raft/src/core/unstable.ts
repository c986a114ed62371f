import { assert } from './assert.js';
import type { Index, SnapshotMeta } from './types.js';

/**
 * How far the log has come on its way to the disk.
 *
 * The log itself is entirely in memory; this keeps two marks on it. Invariant: `stable <= writing
 * <= last index`. Entries up to `stable` are durable as they now are in memory; those up to
 * `writing` were handed to the storage. Cutting the log pulls both marks back.
 */
export class Unstable {
  stable: Index;
  writing: Index;
  /** A snapshot that replaced the log and has not been handed to the storage yet. */
  snapshot: SnapshotMeta | undefined;
  /** Index of the last snapshot whose write has not completed; 0 without one. */
  snapshotWriting: Index = 0;

  constructor(last: Index) {
    this.stable = last;
    this.writing = last;
  }

  /** Records that entries from `first` on are new in memory. */
  changedFrom(first: Index): void {
    if (this.stable >= first) this.stable = first - 1;
    if (this.writing >= first) this.writing = first - 1;
  }

  /** Records that everything up to `last`, with the snapshot, was handed to the storage. */
  taken(last: Index): void {
    assert(last >= this.writing, 'less was handed out than before', last, this.writing);
    this.writing = last;
    if (this.snapshot !== undefined) {
      this.snapshotWriting = this.snapshot.index;
      this.snapshot = undefined;
    }
  }

  /** Records that the storage has everything up to `index`. */
  stableTo(index: Index): void {
    assert(index <= this.writing, 'durable before it was written', index, this.writing);
    if (index > this.stable) this.stable = index;
  }

  snapshotStable(index: Index): void {
    if (this.snapshotWriting === index) this.snapshotWriting = 0;
  }

  /** The log was replaced by a snapshot. Nothing follows it, so nothing is unwritten. */
  restore(snapshot: SnapshotMeta): void {
    this.snapshot = snapshot;
    this.stable = snapshot.index;
    this.writing = snapshot.index;
  }

  /** True while a snapshot is not yet durable: the member must not campaign on it. */
  get installing(): boolean {
    return this.snapshot !== undefined || this.snapshotWriting !== 0;
  }
}
