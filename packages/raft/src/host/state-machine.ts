import type { Entry, Index, SnapshotMeta } from '../core/types.js';

/** A consistent view of the state at one index, however long it is read. */
export interface StateView {
  readonly index: Index;
  /**
   * The state as bytes. The reader finishes a chunk before it asks for the next. Read once per
   * snapshot, even if the connection breaks: the transport keeps what it may have to send again.
   */
  chunks(): AsyncIterable<Uint8Array>;
  release(): Promise<void>;
}

/**
 * What the log drives. The host calls one method at a time, but may apply while a view is being
 * read.
 */
export interface StateMachine {
  /**
   * Entries up to this index are already applied; replay starts after it. Read once, at the start.
   */
  readonly appliedIndex: Index;
  /**
   * Applies committed entries in order, synchronously, and returns a result for each, which the
   * proposer gets. The same entries must give the same state and results on every member. Conf
   * changes and empty entries are passed too, so that the applied index advances; their results are
   * ignored. A throw stops the member.
   */
  apply(entries: readonly Entry[]): unknown[];
  /** Resolves when everything applied before the call survives a crash. */
  flush(): Promise<void>;
  view(): Promise<StateView>;
  /**
   * Replaces the state with a leader's: all or nothing, even across a crash. `chunks` may stall for
   * long (its connection broke, and another may continue it); pass its errors on. If it cannot use
   * a snapshot and its state is unchanged, it throws SnapshotRefusedError, or an error with the
   * code RAFT_SNAPSHOT_REFUSED. The host treats both as a broken stream, and the leader tries
   * again. Any other error stops the member.
   */
  restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void>;
}
