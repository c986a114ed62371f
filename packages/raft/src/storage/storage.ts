import { NO_SNAPSHOT } from '../codec/snapshot-codec.js';
import type { Entry, HardState, Index, SnapshotMeta, Term } from '../core/types.js';

/** Everything in one durable write: all of it is kept, or none. */
export interface Persist {
  readonly hardState?: HardState;
  /** Truncates the log to `entries[0].index - 1`, then appends. */
  readonly entries: readonly Entry[];
  /** Replaces the whole log: it now starts after `snapshot.index`. Applied before `entries`. */
  readonly snapshot?: SnapshotMeta;
  /** Whether the write must be on disk before it resolves. */
  readonly mustSync: boolean;
}

/** What a log store finds when it opens. */
export interface Recovered {
  /** `commit` is at least `snapshot.index`. */
  readonly hardState: HardState;
  /** The point where the log starts; index 0 in a new store. */
  readonly snapshot: SnapshotMeta;
  /** Contiguous, starting at `firstIndex`. */
  readonly entries: readonly Entry[];
  readonly firstIndex: Index;
}

/** What a new store recovers. */
export const EMPTY_LOG: Recovered = {
  hardState: { term: 0, vote: 0, commit: 0 },
  snapshot: NO_SNAPSHOT,
  entries: [],
  firstIndex: 1,
};

/**
 * A durable log. The host keeps one `persist` in flight and calls no other method meanwhile, except
 * `compact`. Any rejection is fatal to the member: it must stop, never retry (fsyncgate).
 *
 * `storageContract` of `@swarm/raft/contract` checks an implementation.
 */
export interface LogStorage {
  /** Reads everything. @throws StorageCorruptError when anything acknowledged may be missing */
  open(): Promise<Recovered>;
  /** Rejects, and writes nothing, when entries would leave a hole or another write is under way. */
  persist(write: Persist): Promise<void>;
  /**
   * Drops entries up to and including `meta.index`. The new first index is durable before anything
   * is deleted; deletion itself runs in the background.
   */
  compact(meta: SnapshotMeta): Promise<void>;
  close(): Promise<void>;
}

/** The log is not what was acknowledged: the member must not vote again under its id. */
export class StorageCorruptError extends Error {
  readonly code = 'RAFT_STORAGE_CORRUPT';
}

/** The term at an index, as far as known. */
export interface TermAt {
  readonly index: Index;
  readonly term: Term;
}
