import type { Entry, Index, SnapshotMeta } from '../core/types.js';
import type { RaftCounters } from '../metrics.js';
import type { Clock } from './clock.js';
import { Exclusive } from '../exclusive.js';
import type { StateMachine, StateView } from './state-machine.js';

/** The state machine, and how far it has come. Views, flushes and restores wait for each other. */
export class AppliedState {
  private readonly machine: StateMachine;
  private readonly clock: Clock;
  private readonly counters: RaftCounters;
  private readonly jobs = new Exclusive();
  private reached: Index;

  constructor(machine: StateMachine, clock: Clock, counters: RaftCounters) {
    this.machine = machine;
    this.clock = clock;
    this.counters = counters;
    this.reached = machine.appliedIndex;
  }

  /** Everything up to here is applied. May be ahead of the core, see recovery.ts. */
  get index(): Index {
    return this.reached;
  }

  /**
   * Applies the new ones of `entries`. @returns a result for each; undefined for entries applied
   * before
   */
  apply(entries: readonly Entry[]): readonly unknown[] {
    const fresh = entries.filter(({ index }) => index > this.reached);
    const results = fresh.length > 0 ? this.applyFresh(fresh) : [];
    this.reached = Math.max(this.reached, entries.at(-1)!.index);
    const known = entries.length - fresh.length;
    return known === 0 ? results : [...new Array<undefined>(known), ...results];
  }

  private applyFresh(entries: readonly Entry[]): readonly unknown[] {
    const { clock, counters } = this;
    const startMs = clock.now();
    const results = this.machine.apply(entries);
    counters.apply.observeMs(clock.now() - startMs);
    counters.entriesApplied += entries.length;
    return results;
  }

  flush(): Promise<void> {
    return this.jobs.run(() => this.machine.flush());
  }

  view(): Promise<StateView> {
    return this.jobs.run(() => this.machine.view());
  }

  /**
   * Replaces the state.
   * @param damaged called when the restore failed and neither state can be trusted
   * @throws what broke the stream, or why the state machine refused or failed
   */
  async restore(
    meta: SnapshotMeta,
    chunks: AsyncIterable<Uint8Array>,
    damaged: (error: unknown) => void,
  ): Promise<void> {
    // A stream that breaks, or holds something we cannot use, leaves the state as it was; every
    // other error is ours.
    let broken = false;
    async function* watched() {
      try {
        yield* chunks;
      } catch (error) {
        broken = true;
        throw error;
      }
    }
    try {
      await this.jobs.run(() => this.machine.restore(meta, watched()));
    } catch (error) {
      if (!broken && !isRefusal(error)) damaged(error);
      throw error;
    }
    this.reached = meta.index;
    this.counters.snapshotsReceived++;
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    return this.jobs.idle();
  }
}

/** Compares the code, because the state machine may bring its own copy of this package. */
function isRefusal(error: unknown): boolean {
  return (error as { readonly code?: unknown } | undefined)?.code === 'RAFT_SNAPSHOT_REFUSED';
}
