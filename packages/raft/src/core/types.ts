/**
 * Vocabulary of the log: identifiers, entries, and what a member must remember across a crash.
 * Terms, indexes and member ids are plain numbers, at most `Number.MAX_SAFE_INTEGER`.
 */

/**
 * Identifies one member for ever. Never reused, not even by the same host after it rejoins. 0 is
 * nobody.
 */
export type MemberId = number;
/** Position in the log. The first entry has index 1; 0 means before the log. */
export type Index = number;
/** Election term; 0 before the first election. */
export type Term = number;

export const NOBODY: MemberId = 0;

export const EntryKind = {
  /** Opaque bytes for the state machine; empty for the entry a new leader appends. */
  Normal: 0,
  /** A membership change (see ConfChange), encoded by core/conf-change.ts. */
  ConfChange: 1,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/**
 * One entry of the log. Immutable once made. `frame` holds the entry as written to disk and sent to
 * followers; the codec makes it once, where it first encodes or decodes the entry.
 */
export interface Entry {
  readonly index: Index;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
  frame?: Uint8Array;
}

/** What must be durable before a member answers: Raft paper, figure 2, "persistent state". */
export interface HardState {
  readonly term: Term;
  readonly vote: MemberId;
  /**
   * Highest index known to be committed. Written with every batch of entries, never alone. It may
   * lag, but a member that holds the entry of a membership change must know that the change before
   * it is committed; otherwise it could campaign two configurations late.
   */
  readonly commit: Index;
}

/**
 * The members of the group. In a joint configuration (thesis §4.3), `votersOutgoing` is not empty.
 */
export interface ConfState {
  readonly voters: readonly MemberId[];
  readonly votersOutgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
  /**
   * Voters of the outgoing configuration that become learners when the group leaves the joint one.
   */
  readonly learnersNext: readonly MemberId[];
  /** The leader leaves the joint configuration by itself as soon as it is committed. */
  readonly autoLeave: boolean;
}

/** How to reach a member. Travels with the configuration, opaque to the core. */
export interface MemberInfo {
  readonly id: MemberId;
  /** `host:port` of the member's transport. */
  readonly address: string;
  /** The owner's own name for the member (the cluster's node id). */
  readonly nodeId: string;
}

/** Describes a snapshot. The state itself is streamed separately. */
export interface SnapshotMeta {
  readonly index: Index;
  readonly term: Term;
  /** The committed configuration as of `index`. */
  readonly conf: ConfState;
  readonly members: readonly MemberInfo[];
  /** Ids that were removed and must never come back. */
  readonly removed: readonly MemberId[];
}
