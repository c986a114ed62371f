import type { Message } from './message.js';
import type { ReadState, Role } from './raft.js';
import type { Entry, HardState, Index, MemberId, SnapshotMeta, Term } from './types.js';

/**
 * One durable write, and what may happen once it is done. Writes complete in the order they were
 * handed out. Call `RaftCore.appended` for each, even for one that holds only responses.
 */
export interface AppendWork {
  readonly hardState?: HardState;
  readonly entries: readonly Entry[];
  readonly snapshot?: SnapshotMeta;
  readonly mustSync: boolean;
  /** Messages that leave, or come home, when the write is done. */
  readonly responses: readonly Message[];
  /** The term the write was made in. */
  readonly term: Term;
  /**
   * The last entry that is durable once this write and all before it are; absent if no such entry exists.
   */
  readonly attested?: { readonly index: Index; readonly term: Term };
}

/** Committed entries, durable here, to apply in order. Call `RaftCore.applied` afterwards. */
export interface ApplyWork {
  readonly entries: readonly Entry[];
}

export interface SoftState {
  readonly role: Role;
  readonly leader: MemberId;
  readonly term: Term;
}

/** What the host has to do. Each part may run while the others are under way. */
export interface Ready {
  /**
   * Messages to send at once, in order. A Snapshot names a member that needs one; the host adds the
   * state.
   */
  readonly messages: readonly Message[];
  readonly append?: AppendWork;
  readonly apply?: ApplyWork;
  readonly readStates: readonly ReadState[];
  /** Present when it changed. */
  readonly softState?: SoftState;
}
