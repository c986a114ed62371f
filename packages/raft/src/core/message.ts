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
  /** Announces a snapshot; the transport streams the state itself and steps it in when complete. */
  Snapshot: 9,
  /** The leader tells a caught-up voter to campaign at once (thesis §3.10). */
  TimeoutNow: 10,
  /** A follower asks the leader for a read index (thesis §6.4). */
  ReadIndex: 11,
  ReadIndexResponse: 12,
  /** A follower asks the leader to hand leadership to `from`. */
  TransferLeader: 13,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/**
 * One message. A single record with plain fields keeps the core free of allocation tricks; which
 * fields mean something for which type is stated here, the rest are 0, false or absent.
 *
 * - `index`, `logTerm`: Append: the entry before `entries`; votes: the candidate's last entry;
 *   AppendResponse: last index now matching, or on reject the hinted conflict position.
 *   Heartbeat: the last index this member has acknowledged as durable, from which it can tell that
 *   its disk lost some of it (0 from programs that do not say). HeartbeatResponse: for how many
 *   milliseconds of its clock this member elects nobody else (0: programs that promise nothing).
 * - `commit`: Append and Heartbeat: the leader's commit, for a Heartbeat at most the follower's match.
 *   A refused vote: what the voter knows to be committed (the candidate may know less).
 * - `reject`, `rejectHint`: responses; the hint is the follower's last index below the conflict.
 * - `context`: reads (a number made by the leader), `force`: a vote that ignores leases (transfer).
 */
export interface Message {
  readonly type: MessageType;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: Term;
  readonly index: Index;
  readonly logTerm: Term;
  readonly commit: Index;
  readonly entries: readonly Entry[];
  readonly reject: boolean;
  readonly rejectHint: Index;
  readonly context: number;
  readonly force: boolean;
  readonly snapshot?: SnapshotMeta;
}
