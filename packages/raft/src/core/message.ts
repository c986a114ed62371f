import type { Entry, Index, MemberId, SnapshotMeta, Term } from './types.js';

/** Kinds of message between members. Stable on the wire: numbers are never reused. */
export const MessageType = {
  PreVote: 1,
  PreVoteResponse: 2,
  Vote: 3,
  VoteResponse: 4,
  Append: 5,
  AppendResponse: 6,
  Heartbeat: 7,
  HeartbeatResponse: 8,
  /**
   * Announces a snapshot. The transport streams the state itself and steps this message in when the
   * state is complete.
   */
  Snapshot: 9,
  /** The leader tells a caught-up voter to campaign at once (thesis §3.10). */
  TimeoutNow: 10,
  /** A follower asks the leader for a read index (thesis §6.4). */
  ReadIndex: 11,
  ReadIndexResponse: 12,
  /** A follower asks the leader to hand leadership to it. */
  TransferLeader: 13,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** The fields of every message. */
interface Addressed {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term. In a pre-vote and its grant: the term of the election in question. */
  readonly term: Term;
}

/** A candidate's request for a vote. It shows the end of its log (paper §5.4.1). */
interface Campaign extends Addressed {
  readonly lastIndex: Index;
  readonly lastTerm: Term;
  /** True when the leader itself ordered the campaign: promises made to it do not count. */
  readonly force: boolean;
}
export interface PreVoteMessage extends Campaign {
  readonly type: typeof MessageType.PreVote;
}
export interface VoteMessage extends Campaign {
  readonly type: typeof MessageType.Vote;
}

/** The answer to a candidate. */
interface Ballot extends Addressed {
  readonly granted: boolean;
  /**
   * In a refusal: the index that the voter knows to be committed, and the term there, since the
   * candidate may know less. 0: the voter does not say.
   */
  readonly commit: Index;
  readonly commitTerm: Term;
}
export interface PreVoteResponseMessage extends Ballot {
  readonly type: typeof MessageType.PreVoteResponse;
}
export interface VoteResponseMessage extends Ballot {
  readonly type: typeof MessageType.VoteResponse;
}

export interface AppendMessage extends Addressed {
  readonly type: typeof MessageType.Append;
  /** The index of the entry before `entries`. */
  readonly previousIndex: Index;
  readonly previousTerm: Term;
  readonly entries: readonly Entry[];
  /** The leader's commit index. */
  readonly commit: Index;
}

/** Reports that the log matches the leader's up to here, durably. */
export interface AppendAcceptedMessage extends Addressed {
  readonly type: typeof MessageType.AppendResponse;
  readonly rejected: false;
  /** 0 answers a leader of an older term and says nothing about the log. */
  readonly match: Index;
}
/** Reports that the log lacks the entry that the leader's entries follow. */
export interface AppendRejectedMessage extends Addressed {
  readonly type: typeof MessageType.AppendResponse;
  readonly rejected: true;
  /** As in the Append that is rejected. */
  readonly previousIndex: Index;
  /** The last place where the logs could match, and the term there; 0: the term is not known. */
  readonly hintIndex: Index;
  readonly hintTerm: Term;
}
export type AppendResponseMessage = AppendAcceptedMessage | AppendRejectedMessage;

export interface HeartbeatMessage extends Addressed {
  readonly type: typeof MessageType.Heartbeat;
  /**
   * The last index that the receiver has acknowledged as durable, from which it can tell that its
   * disk lost some of it. 0 from versions that do not say.
   */
  readonly match: Index;
  /** The leader's commit index, at most `match`: beyond that the receiver's log may differ. */
  readonly commit: Index;
  /** Number of the leader's round of heartbeats. 0: no read and no lease waits for an answer. */
  readonly round: number;
}
export interface HeartbeatResponseMessage extends Addressed {
  readonly type: typeof MessageType.HeartbeatResponse;
  /**
   * How long the sender elects nobody else, by its own clock. 0 from versions that promise nothing.
   */
  readonly promiseMs: number;
  /** As in the heartbeat. */
  readonly round: number;
}

/** The core's order to its host: `to` needs a snapshot of the state. Never on the wire. */
export interface SnapshotOrder extends Addressed {
  readonly type: typeof MessageType.Snapshot;
  /** The index that the core had applied; the host's view may be later. */
  readonly applied: Index;
  readonly snapshot?: undefined;
}
export interface SnapshotMessage extends Addressed {
  readonly type: typeof MessageType.Snapshot;
  readonly snapshot: SnapshotMeta;
}

export interface TimeoutNowMessage extends Addressed {
  readonly type: typeof MessageType.TimeoutNow;
}

export interface ReadIndexMessage extends Addressed {
  readonly type: typeof MessageType.ReadIndex;
  /** The asker's own number for its question. */
  readonly context: number;
}
export interface ReadIndexResponseMessage extends Addressed {
  readonly type: typeof MessageType.ReadIndexResponse;
  readonly context: number;
  /** The reads may proceed once this index is applied. */
  readonly index: Index;
}

export interface TransferLeaderMessage extends Addressed {
  readonly type: typeof MessageType.TransferLeader;
}

/** All messages between members. */
export type Message =
  | PreVoteMessage
  | PreVoteResponseMessage
  | VoteMessage
  | VoteResponseMessage
  | AppendMessage
  | AppendResponseMessage
  | HeartbeatMessage
  | HeartbeatResponseMessage
  | SnapshotOrder
  | SnapshotMessage
  | TimeoutNowMessage
  | ReadIndexMessage
  | ReadIndexResponseMessage
  | TransferLeaderMessage;

/** The messages that only the leader of a term sends. */
export type LeaderMessage = AppendMessage | HeartbeatMessage | SnapshotOrder | SnapshotMessage;
