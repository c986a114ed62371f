import type { Entry, Index, SnapshotMeta } from '../core/types.js';

/** A consistent view of the state at one index, however long it is read. */
export interface StateView {
  readonly index: Index;
  /**
   * The state as bytes; a chunk is used up before the next is asked for. Read once for a snapshot,
   * also one whose connection breaks: what may have to be sent again is kept by the transport.
   */
  chunks(): AsyncIterable<Uint8Array>;
  release(): Promise<void>;
}

/** What the log drives. The host calls one method at a time, but may apply while a view is being read. */
export interface StateMachine {
  /** Entries up to this index are applied already; replay starts after it. Read once, at start. */
  readonly appliedIndex: Index;
  /**
   * Applies committed entries of kind Normal in order, at once, and gives a result for each; the
   * proposer gets it. Same entries, same state, same results on every member. Conf changes and empty
   * entries are passed too (so that the applied index advances), their result is ignored.
   * A throw stops the member.
   */
  apply(entries: readonly Entry[]): unknown[];
  /** Resolves when all that was applied before the call survives a crash. */
  flush(): Promise<void>;
  view(): Promise<StateView>;
  /**
   * Replaces the state by a leader's; all or nothing, also across a crash. `chunks` may let wait for
   * long (its connection broke, and another may go on); an error of it is to be passed on. Whoever
   * cannot use a snapshot and still has its state as it was throws SnapshotRefusedError (or what has
   * its code, RAFT_SNAPSHOT_REFUSED): both are taken for a stream that broke, and the leader tries
   * again. Any other error stops the member.
   */
  restore(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void>;
}
