import { assert } from './assert.js';
import type { Inflights } from './inflights.js';
import type { Index } from './types.js';

export const ProgressState = {
  /** We do not know where the follower's log matches ours: one Append at a time. */
  Probe: 'probe',
  /** Sends Appends ahead of their answers. */
  Replicate: 'replicate',
  /** The follower needs entries that are compacted. Sends nothing until it has a snapshot. */
  Snapshot: 'snapshot',
} as const;
export type ProgressState = (typeof ProgressState)[keyof typeof ProgressState];

/** Longer ago than any tick. */
const NEVER = Number.MIN_SAFE_INTEGER;

/** What a leader knows of one member. Invariant: `0 <= match < next`. */
export class Progress {
  /** Highest index known to be durable there and equal to ours. */
  match: Index = 0;
  /** Next index to send. In Replicate it runs ahead of `match` by what is in flight. */
  next: Index;
  state: ProgressState = ProgressState.Probe;
  /** In Snapshot: the lowest index that the snapshot will have; otherwise 0. */
  pendingSnapshot: Index = 0;
  /** Leader tick at which the member was last heard. */
  lastActiveTick = NEVER;
  /** Highest commit that the member knows, or will learn from what is in flight. */
  sentCommit: Index = 0;
  isLearner: boolean;
  readonly inflights: Inflights;
  /** Send nothing more until an answer, or the answer to a heartbeat, arrives. */
  private paused = false;

  constructor(next: Index, isLearner: boolean, inflights: Inflights) {
    this.next = next;
    this.isLearner = isLearner;
    this.inflights = inflights;
  }

  private become(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = 0;
    this.inflights.reset();
  }

  becomeProbe(): void {
    // An installed snapshot tells us where to continue, even if its answer was lost.
    const from = Math.max(this.match, this.state === 'snapshot' ? this.pendingSnapshot : 0);
    this.become(ProgressState.Probe);
    this.next = from + 1;
    this.sentCommit = Math.min(this.sentCommit, from);
  }

  becomeReplicate(): void {
    this.become(ProgressState.Replicate);
    this.next = this.match + 1;
    this.sentCommit = Math.min(this.sentCommit, this.match);
  }

  becomeSnapshot(index: Index): void {
    this.become(ProgressState.Snapshot);
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  /** The snapshot did not arrive: probes from where the follower was. */
  snapshotFailed(): void {
    this.pendingSnapshot = 0;
    this.becomeProbe();
  }

  /** True while no Append may be sent. */
  get isPaused(): boolean {
    return this.state === ProgressState.Snapshot || this.paused;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  /** Records that `count` entries of `bytes` were sent from `next` on. */
  sentEntries(count: number, bytes: number): void {
    switch (this.state) {
      case ProgressState.Replicate:
        if (count > 0) {
          this.next += count;
          this.inflights.add(this.next - 1, bytes);
        }
        this.paused = this.inflights.full;
        break;
      case ProgressState.Probe:
        if (count > 0) this.paused = true;
        break;
      case ProgressState.Snapshot:
        assert(false, 'append sent to a member that waits for a snapshot');
    }
  }

  /** Reports whether an Append would tell the member of a commit that it cannot know yet. */
  canBumpCommit(commit: Index): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** Records that the member has everything up to `index`. @returns whether that is news */
  acked(index: Index): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.paused = false;
    return true;
  }

  /**
   * Records that the member refused the Append that followed `rejected`. The logs can match at
   * `hint` at best.
   * @returns false for an answer that is out of date (reordered or repeated)
   */
  rejected(rejected: Index, hint: Index): boolean {
    if (this.state === ProgressState.Replicate) {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.sentCommit = Math.min(this.sentCommit, this.match);
      return true;
    }
    if (this.state === ProgressState.Snapshot || this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.paused = false;
    return true;
  }
}
