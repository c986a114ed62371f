import { ProgressState } from './progress.js';
import { type Raft, Role } from './raft.js';
import type { ConfState, Index, MemberId, Term } from './types.js';

export interface MemberProgress {
  readonly id: MemberId;
  readonly isLearner: boolean;
  /** As the leader knows them; 0 and false on other members. */
  readonly match: Index;
  readonly next: Index;
  readonly state: ProgressState;
  /** Heard within the last election timeout. */
  readonly active: boolean;
}

export interface CoreStatus {
  readonly id: MemberId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: MemberId;
  readonly leader: MemberId;
  readonly commit: Index;
  readonly applied: Index;
  readonly firstIndex: Index;
  readonly lastIndex: Index;
  readonly conf: ConfState;
  readonly members: readonly MemberProgress[];
}

export function statusOf(raft: Raft): CoreStatus {
  const { role, term, vote, leader, log, tracker } = raft;
  return {
    id: raft.id,
    role,
    term,
    vote,
    leader,
    commit: log.commit,
    applied: log.applied,
    firstIndex: log.firstIndex,
    lastIndex: log.lastIndex,
    conf: tracker.conf,
    members: tracker.members.map((id) => progressOf(raft, id)),
  };
}

export function progressOf(raft: Raft, id: MemberId): MemberProgress {
  const known = raft.tracker.get(id);
  const leads = raft.role === Role.Leader;
  const self = id === raft.id;
  return {
    id,
    isLearner: known?.isLearner ?? false,
    match: leads ? (known?.match ?? 0) : 0,
    next: leads ? (known?.next ?? 0) : 0,
    state: known?.state ?? ProgressState.Probe,
    active:
      self ||
      (leads &&
        known !== undefined &&
        raft.ticks - known.lastActiveTick <= raft.config.electionTicks),
  };
}
