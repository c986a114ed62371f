import type { TraceMessage } from '../trace.js';
import { type MemberState, NONE } from './member-state.js';
import { rule } from './violation.js';

/** Everything that was ever sent: the network may lose it, repeat it, and deliver it late. */
export class Mail {
  /** With the terms of the entries. */
  private readonly sent = new Map<string, readonly (number | undefined)[]>();

  wasSent(message: TraceMessage): boolean {
    return this.sent.has(keyOf(message));
  }

  entriesOf(message: TraceMessage): readonly (number | undefined)[] {
    return this.sent.get(keyOf(message)) ?? [];
  }

  /** Checks a sent message: the member's state, now or when it made the message, must allow it. */
  send(from: MemberState, message: TraceMessage, leader: string | undefined): void {
    const { type, term } = message;
    rule(term <= from.term, () => `it is in term ${from.term}`);
    let entries: readonly (number | undefined)[] = [];
    switch (type) {
      case 'MsgVote':
        voteRequest(from, message);
        break;
      case 'MsgVoteResp':
        voteResponse(from, message);
        break;
      case 'MsgAppResp':
        appendResponse(from, message);
        break;
      case 'MsgHeartbeatResp':
        break;
      default:
        rule(leader === from.id, () => `it does not lead term ${term}`);
        entries = append(from, message);
    }
    this.sent.set(keyOf(message), entries);
  }
}

function voteRequest(from: MemberState, { term, index, logTerm }: TraceMessage): void {
  const campaign = from.campaigns.get(term);
  rule(campaign !== undefined, () => `it did not campaign in term ${term}`);
  rule(campaign.index === index && campaign.logTerm === logTerm, () => {
    return `its log ended at ${campaign.index} of term ${campaign.logTerm}`;
  });
}

function voteResponse(from: MemberState, { term, to, reject }: TraceMessage): void {
  promise(from, term);
  if (reject) return;
  const vote = from.votedFor.get(term);
  rule(vote === to, () => `in term ${term} it voted for ${vote ?? 'nobody'}`);
  if (term === from.promised.term) from.promised.vote = to;
}

function appendResponse(from: MemberState, { term, index, reject }: TraceMessage): void {
  promise(from, term);
  if (reject || index === 0) return;
  const may = from.mayAck.get(term) ?? 0;
  rule(index <= may, () => `the leader of term ${term} gave it entries up to ${may} only`);
  if (term === from.term) from.promised.log = Math.max(from.promised.log, index);
}

/** Checks that a member that answers in a term has it on disk. */
function promise({ promised }: MemberState, term: number): void {
  if (term <= promised.term) return;
  promised.term = term;
  promised.vote = NONE;
}

function append(from: MemberState, message: TraceMessage): readonly (number | undefined)[] {
  const { type, term, index, logTerm, entries, commit } = message;
  rule(commit <= from.commit, () => `its commit is ${from.commit}`);
  if (type === 'MsgSnap') {
    rule(index <= from.applied, () => `it has applied ${from.applied} only`);
    return [];
  }
  if (type === 'MsgHeartbeat') {
    rule(commit <= index, () => `the member is known to have ${index} entries only`);
    return [];
  }
  const log = from.logAsLeaderOf(term);
  if (log === undefined) return [];
  rule(log.has(index, logTerm), () => `its entry ${index} has term ${log.at(index)}`);
  rule(index + entries <= log.last, () => `its log ends at ${log.last}`);
  return log.slice(index, entries);
}

/** A snapshot is reported when it is ordered, and gets its index only when its state is taken. */
export function keyOf(message: TraceMessage): string {
  const { type, from, to, term } = message;
  if (type === 'MsgSnap') return [type, from, to, term].join(' ');
  const { index, logTerm, commit, entries, reject, rejectHint } = message;
  return [type, from, to, term, index, logTerm, commit, entries, reject, rejectHint].join(' ');
}
