import type { TraceMessage } from '../trace.js';
import { isQuorum, type MemberState, NONE, type Shown } from './member-state.js';
import { rule } from './violation.js';

/** What a message may turn a member into. */
export interface Outcome extends Shown {
  /** Which entries of the log are kept, and the terms of those that follow them. */
  readonly change?: { readonly kept: number; readonly terms: readonly (number | undefined)[] };
  /** From now on the log is a snapshot's. */
  readonly snapshot?: { readonly index: number; readonly term: number };
  /** How far it may acknowledge the log in this term. */
  readonly mayAck?: number;
  /** A leader's commit may grow to any index that a quorum holds. */
  readonly commitsByQuorum?: true;
  readonly wins?: true;
}

/**
 * Every state that the rules let a message turn a member into. The first is that nothing happens,
 * where that is allowed.
 * @param entries terms of the message's entries
 */
export function outcomes(
  member: MemberState,
  message: TraceMessage,
  entries: readonly (number | undefined)[],
): readonly Outcome[] {
  const now = message.type === 'MsgVoteResp' ? told(member, message) : shown(member);
  if (message.term < member.term) return [now];
  const isNewer = message.term > member.term;
  const base: Shown = isNewer
    ? { ...now, role: 'StateFollower', term: message.term, vote: NONE }
    : now;
  switch (message.type) {
    case 'MsgVote':
      return voteRequest(member, message, base, now);
    case 'MsgVoteResp':
      return isNewer ? [base] : voteResponse(member, now);
    case 'MsgAppResp':
      if (isNewer) return [base];
      return member.role === 'StateLeader' ? [{ ...now, commitsByQuorum: true }] : [now];
    case 'MsgApp':
    case 'MsgHeartbeat':
    case 'MsgSnap':
      rule(
        isNewer || member.role !== 'StateLeader',
        () => `it leads term ${member.term} and hears another leader of it, ${message.from}`,
      );
      return [follow(member, message, entries, { ...base, role: 'StateFollower' })];
    default:
      return [base];
  }
}

function shown({ role, term, vote, commit, log }: MemberState): Shown {
  return { role, term, vote, commit, log };
}

/**
 * Paper §5.2, §5.4.1. The request may be ignored where a leader is heard, or known (thesis §4.2.3).
 */
function voteRequest(
  member: MemberState,
  { from, index, logTerm }: TraceMessage,
  base: Shown,
  now: Shown,
): readonly Outcome[] {
  const free = base.vote === NONE && member.terms.isUpToDate(index, logTerm);
  return free ? [now, base, { ...base, vote: from }] : [now, base];
}

/** A refusal, of whatever term, says what the voter knows to be committed. */
function told(member: MemberState, { reject, index, logTerm }: TraceMessage): Shown {
  const now = shown(member);
  const learns = reject && index > now.commit && member.terms.has(index, logTerm);
  return learns && member.role !== 'StateLeader' ? { ...now, commit: index } : now;
}

function voteResponse(member: MemberState, now: Shown): readonly Outcome[] {
  if (member.role !== 'StateCandidate') return [now];
  const { conf, votes, id } = member;
  if (isQuorum(conf, (voter) => voter === id || votes.get(voter) === true)) {
    return [now, { ...now, role: 'StateLeader', log: now.log + 1, wins: true }];
  }
  const canWin = isQuorum(conf, (voter) => votes.get(voter) !== false);
  return canWin ? [now] : [{ ...now, role: 'StateFollower' }];
}

/** Figure 2, AppendEntries, receiver; figure 13 for snapshots. */
function follow(
  member: MemberState,
  message: TraceMessage,
  entries: readonly (number | undefined)[],
  base: Shown,
): Outcome {
  const { index, logTerm, commit } = message;
  const { terms } = member;
  if (message.type === 'MsgHeartbeat') {
    const reached = Math.max(base.commit, commit);
    rule(reached <= base.log, () => `a heartbeat commits ${commit}, beyond its log`);
    return { ...base, commit: reached };
  }
  if (message.type === 'MsgSnap') {
    if (index <= base.commit) return { ...base, mayAck: base.commit };
    if (terms.at(index) === logTerm) return { ...base, commit: index, mayAck: index };
    const snapshot = { index, term: logTerm };
    return { ...base, commit: index, log: index, snapshot, mayAck: index };
  }
  if (index < base.commit) return { ...base, mayAck: base.commit };
  if (!terms.has(index, logTerm)) return base;
  const last = index + entries.length;
  let kept = index;
  while (kept < last && kept < base.log && terms.at(kept + 1) === entries[kept - index]) kept++;
  const reached = Math.max(base.commit, Math.min(commit, last));
  if (kept === last) return { ...base, commit: reached, mayAck: last };
  rule(kept >= base.commit, () => `entry ${kept + 1} is committed and would be overwritten`);
  const change = { kept, terms: entries.slice(kept - index) };
  return { ...base, log: last, commit: reached, change, mayAck: last };
}
