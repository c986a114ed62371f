import { type ConfChange, changeConf, encodeConfChange, isJoint } from './conf-change.js';
import { type Raft, Role } from './raft.js';
import { EntryKind, type Index, NOBODY, type Term } from './types.js';

/** Why a proposal was refused. A refused proposal is never in the log. */
export const Refusal = {
  NotLeader: 'not-leader',
  /** Leadership is being handed over. */
  Transferring: 'transferring',
  /** Too much is proposed and not yet committed. */
  Overloaded: 'overloaded',
  /** The previous membership change is not applied yet. */
  ConfChangePending: 'conf-change-pending',
} as const;
export type Refusal = (typeof Refusal)[keyof typeof Refusal];

export type ProposeResult =
  | { readonly index: Index; readonly term: Term; readonly refusal?: undefined }
  | { readonly refusal: Refusal };

/** See RaftCore.propose. */
export function propose(raft: Raft, datas: readonly Uint8Array[]): ProposeResult {
  const refusal = refuses(raft);
  if (refusal !== undefined) return { refusal };
  let bytes = 0;
  for (const data of datas) bytes += data.length;
  // Lets through one proposal beyond the limit; otherwise a large one could never be made.
  const over = raft.uncommittedBytes + bytes > raft.config.maxUncommittedBytes;
  if (over && raft.uncommittedBytes > 0 && bytes > 0) return { refusal: Refusal.Overloaded };
  return { index: raft.appendOwn(datas, EntryKind.Normal), term: raft.term };
}

/**
 * Proposes a membership change. @throws ConfChangeError when the configuration does not allow it
 */
export function proposeConfChange(raft: Raft, change: ConfChange): ProposeResult {
  const refusal = refuses(raft);
  if (refusal !== undefined) return { refusal };
  const leaving = change.changes.length === 0;
  if (raft.pendingConfIndex > raft.log.applied || isJoint(raft.tracker.conf) !== leaving) {
    return { refusal: Refusal.ConfChangePending };
  }
  changeConf(raft.tracker.conf, change);
  return appendConfChange(raft, change);
}

/** Appends an allowed change to the leader's log. */
export function appendConfChange(raft: Raft, change: ConfChange): ProposeResult {
  const index = raft.appendOwn([encodeConfChange(change)], EntryKind.ConfChange);
  raft.pendingConfIndex = index;
  return { index, term: raft.term };
}

function refuses(raft: Raft): Refusal | undefined {
  if (raft.role !== Role.Leader) return Refusal.NotLeader;
  return raft.transferee === NOBODY ? undefined : Refusal.Transferring;
}
