import type { TraceEvent, TraceMessage } from '../trace.js';
import { CommittedLog } from './committed-log.js';
import { Confs } from './confs.js';
import { describe, isQuorum, MemberState, NONE, type Shown, shownIn } from './member-state.js';
import { Mail } from './mail.js';
import { type Outcome, outcomes } from './outcomes.js';
import { TermLog } from './term-log.js';
import { rule, RuleBroken, TraceViolation } from './violation.js';

const BECOMES: Readonly<Record<string, string>> = {
  StateFollower: 'BecomeFollower',
  StateCandidate: 'BecomeCandidate',
  StateLeader: 'BecomeLeader',
};

/** What a member does by itself, or because of a message that is not in the trace. */
const MOVES: ReadonlySet<string> = new Set([
  'BecomeFollower',
  'BecomeCandidate',
  'BecomeLeader',
  'Replicate',
  'Commit',
  'ApplyConfChange',
]);

/**
 * Checks a trace of a whole group against Raft as a specification: keeps the variables of each
 * member as the rules derive them from the events so far, and refuses the first event that no rule
 * allows. Shares no code with the core.
 *
 * A trace must be complete: it begins with the first InitState of each member, and holds the events
 * of all of them in an order in which they can have happened (see `mergeTraces`).
 */
export class TraceChecker {
  private readonly members = new Map<string, MemberState>();
  private readonly mail = new Mail();
  private readonly committed = new CommittedLog();
  private readonly confs = new Confs();
  /** The leader of each term. */
  private readonly leaders = new Map<number, string>();
  /** Terms that a member campaigned in, or started with. */
  private readonly begun = new Set<number>([0]);
  private line = 0;

  /** Number of events taken in. */
  get count(): number {
    return this.line;
  }

  /** @throws TraceViolation */
  check(event: TraceEvent): void {
    this.line++;
    try {
      this.take(event);
    } catch (error) {
      if (error instanceof RuleBroken) throw new TraceViolation(this.line, event, error.message);
      throw error;
    }
  }

  private take(event: TraceEvent): void {
    if (event.name === 'InitState') {
      this.init(event);
      return;
    }
    const member = this.members.get(event.nid);
    rule(member !== undefined, () => 'it was not started');
    const seen = shownIn(event);
    this.settle(member, event, seen);
    if (member.announced.length > 0) {
      const next = member.announced.shift()!;
      rule(event.name === next, () => `${next} must be reported first`);
      same(member, seen);
    } else this.act(member, event, seen);
    this.checkApplied(member, event);
    const conf = JSON.stringify(event.conf);
    rule(conf === JSON.stringify(member.conf), () => {
      return `it counts with ${conf}, which it did not apply`;
    });
  }

  /** Assumes that the last received message has had its effect by now. */
  private settle(member: MemberState, event: TraceEvent, seen: Shown): void {
    const { pending } = member;
    if (pending === undefined) return;
    member.pending = undefined;
    const allowed = outcomes(member, pending, this.mail.entriesOf(pending));
    const shown = allowed.find((outcome) => this.fits(member, outcome, seen));
    // Or the effect of a later move by itself. A vote that may have been given counts as given: the
    // answer may be reported later.
    const silent =
      shown === undefined && MOVES.has(event.name)
        ? allowed.findLast((outcome) => isSilent(member, outcome))
        : undefined;
    const chosen = shown ?? silent;
    rule(chosen !== undefined, () => {
      const may = allowed.map(describe).join(', or ');
      return `it is ${describe(seen)}; ${pending.type} of ${pending.from} makes it ${may}`;
    });
    if (chosen.snapshot !== undefined) {
      this.confs.checkSnapshot(chosen.snapshot.index, event.conf);
      member.conf = event.conf;
    }
    this.become(member, chosen, shown === undefined ? chosen : seen);
  }

  private fits(member: MemberState, outcome: Outcome, seen: Shown): boolean {
    const { term, vote, log, role, commit } = outcome;
    if (seen.term !== term || seen.vote !== vote || seen.log !== log) return false;
    const asks = seen.role === 'StatePreCandidate' && role !== 'StateLeader';
    if (seen.role !== role && !asks) return false;
    if (seen.commit === commit) return true;
    if (seen.commit < commit) return false;
    if (outcome.wins) return this.committed.covers(member.terms, seen.commit);
    return outcome.commitsByQuorum === true && mayCommit(member, seen.commit);
  }

  /** Carries out a transition, and notes which events must report it. */
  private become(member: MemberState, outcome: Outcome, seen: Shown): void {
    const before = plain(member);
    const { role } = outcome;
    const isNew = role !== before.role || outcome.term !== before.term;
    if (before.role === 'StateLeader' && isNew) {
      member.led = { term: before.term, terms: member.terms.copy() };
    }
    if (isNew) member.votes.clear();
    this.changeLog(member, outcome, before);
    member.term = outcome.term;
    member.vote = outcome.vote;
    member.role = seen.role;
    member.commit = seen.commit;
    if (outcome.vote !== NONE) member.votedFor.set(outcome.term, outcome.vote);
    if (outcome.mayAck !== undefined) {
      const before = member.mayAck.get(outcome.term) ?? 0;
      member.mayAck.set(outcome.term, Math.max(before, outcome.mayAck));
    }
    const told = BECOMES[role];
    if (isNew && told !== undefined) member.announced.push(told);
    if (role === 'StateLeader' && seen.log > before.log) member.announced.push('Replicate');
    if (seen.commit > before.commit) member.announced.push('Commit');
    if (isNew && role === 'StateCandidate') this.campaigned(member);
    if (isNew && role === 'StateLeader') this.won(member);
    const leads = role === 'StateLeader' && !outcome.wins;
    this.committed.grow(member.terms, before.commit, seen.commit, leads);
  }

  private changeLog(member: MemberState, outcome: Outcome, before: Shown): void {
    const { terms, promised } = member;
    const { change, snapshot } = outcome;
    if (snapshot !== undefined) {
      terms.reset(snapshot.index, snapshot.term);
      promised.log = Math.min(promised.log, snapshot.index);
    } else if (change !== undefined) {
      terms.replaceAfter(change.kept, change.terms);
      if (change.kept < before.log) promised.log = Math.min(promised.log, change.kept);
    } else terms.append(outcome.log - before.log, outcome.term);
  }

  private campaigned(member: MemberState): void {
    this.begun.add(member.term);
    const { log: index, terms } = member;
    member.campaigns.set(member.term, { index, logTerm: terms.lastTerm });
  }

  private won(member: MemberState): void {
    const { id, term, terms } = member;
    const other = this.leaders.get(term);
    rule(other === undefined, () => `member ${other} already leads term ${term}`);
    this.leaders.set(term, id);
    this.committed.requireIn(terms);
    member.match.clear();
    // Its own first entry was not there before.
    member.changeIndex = terms.last - 1;
  }

  /** Checks an event that no message causes. */
  private act(member: MemberState, event: TraceEvent, seen: Shown): void {
    const now = plain(member);
    switch (event.name) {
      case 'BecomeCandidate':
        rule(now.role !== 'StateLeader', () => 'a leader campaigns');
        rule(isVoter(member), () => 'it is not a voter');
        this.move(member, event, seen, {
          ...now,
          role: 'StateCandidate',
          term: now.term + 1,
          vote: member.id,
        });
        break;
      case 'BecomeFollower':
        rule(seen.term === now.term || this.begun.has(seen.term), () => {
          return `nobody campaigned in term ${seen.term}`;
        });
        rule(seen.term >= now.term, () => `its term was ${now.term}`);
        this.move(member, event, seen, {
          ...now,
          role: 'StateFollower',
          term: seen.term,
          vote: seen.term > now.term ? NONE : now.vote,
          commit: this.learned(member, seen.commit),
        });
        break;
      case 'BecomeLeader': {
        rule(now.role === 'StateCandidate', () => 'it was not a candidate');
        const { conf, votes, id } = member;
        const grants = (voter: string) => voter === id || votes.get(voter) === true;
        rule(isQuorum(conf, grants), () => 'a quorum did not vote for it');
        this.move(member, event, seen, {
          ...now,
          role: 'StateLeader',
          log: now.log + 1,
          wins: true,
        });
        break;
      }
      case 'Replicate':
        rule(now.role === 'StateLeader', () => 'it does not lead');
        rule(seen.log > now.log, () => 'its log did not grow');
        this.move(member, event, seen, { ...now, log: seen.log, commitsByQuorum: true });
        break;
      case 'Commit':
        rule(seen.commit > now.commit, () => 'its commit did not grow');
        this.move(
          member,
          event,
          seen,
          now.role === 'StateLeader'
            ? { ...now, commitsByQuorum: true }
            : { ...now, commit: this.learned(member, seen.commit) },
        );
        break;
      case 'ApplyConfChange':
        this.applyConf(member, event, seen, now);
        break;
      default:
        same(member, seen);
        member.role = seen.role;
        this.tell(member, event);
    }
  }

  private move(member: MemberState, event: TraceEvent, seen: Shown, outcome: Outcome): void {
    rule(this.fits(member, outcome, seen), () => {
      return `it is ${describe(seen)}; from ${describe(member)} it becomes ${describe(outcome)}`;
    });
    this.become(member, outcome, seen);
    const told = member.announced.shift();
    rule(told === event.name, () => `${told} must be reported first`);
  }

  /** A refused pre-vote, which is not in the trace, tells whoever asked what is committed. */
  private learned(member: MemberState, commit: number): number {
    const asks = member.role !== 'StateLeader';
    const learns = asks && commit > member.commit && this.committed.covers(member.terms, commit);
    return learns ? commit : member.commit;
  }

  private applyConf(member: MemberState, event: TraceEvent, seen: Shown, now: Shown): void {
    const index = event.prop?.index ?? 0;
    rule(index > 0 && index <= seen.commit, () => `entry ${index} is not committed`);
    this.confs.apply(index, member.conf, event.conf);
    member.conf = event.conf;
    const resigns = now.role === 'StateLeader' && !isVoter(member);
    const outcome: Outcome = resigns
      ? { ...now, role: 'StateFollower' }
      : { ...now, ...(now.role === 'StateLeader' && { commitsByQuorum: true }) };
    rule(this.fits(member, outcome, seen), () => {
      return `it is ${describe(seen)}; the change makes it ${describe(outcome)}`;
    });
    this.become(member, outcome, seen);
  }

  /** Handles events that change nothing by themselves. */
  private tell(member: MemberState, event: TraceEvent): void {
    const { name, msg } = event;
    if (name === 'ChangeConf') {
      rule(member.role === 'StateLeader', () => 'it does not lead');
      rule(member.changeIndex <= member.applied, () => {
        return `entry ${member.changeIndex} may be a change and is not applied`;
      });
      rule(member.conf[1].length === 0, () => 'the configuration is joint');
      member.changeIndex = event.prop?.index ?? member.log;
    }
    if (msg === undefined) return;
    if (name.startsWith('Receive')) {
      rule(msg.to === member.id, () => `the message is to ${msg.to}`);
      rule(this.mail.wasSent(msg), () => `nobody sent ${JSON.stringify(msg)}`);
      member.pending = msg;
      countAnswer(member, msg);
    } else {
      rule(msg.from === member.id, () => `the message is from ${msg.from}`);
      this.mail.send(member, msg, this.leaders.get(msg.term));
    }
  }

  private checkApplied(member: MemberState, { state }: TraceEvent): void {
    const { applied } = state;
    rule(applied >= member.applied, () => `it had already applied ${member.applied}`);
    rule(applied <= member.commit, () => `it applies ${applied} beyond its commit`);
    member.applied = applied;
  }

  /**
   * A first start, or one after a crash: what it promised must be there (paper, figure 2,
   * persistent).
   */
  private init(event: TraceEvent): void {
    const { nid, state, conf, prop } = event;
    rule(prop?.terms !== undefined, () => 'its log is missing');
    const terms = TermLog.of(prop.terms);
    rule(terms.last === event.log, () => `the reported log ends at ${terms.last}`);
    const before = this.members.get(nid);
    const member = before ?? new MemberState(nid);
    if (before !== undefined) this.checkKept(before, event, terms);
    this.members.set(nid, member);
    this.begun.add(state.term);
    member.role = event.role;
    rule(member.role === 'StateFollower', () => `it starts as ${event.role}`);
    Object.assign(member, { terms, term: state.term, vote: state.vote, commit: state.commit });
    Object.assign(member, { applied: state.applied, conf, pending: undefined, led: undefined });
    member.announced.length = 0;
    member.votes.clear();
    member.match.clear();
    if (state.vote !== NONE) member.votedFor.set(state.term, state.vote);
    this.committed.grow(terms, 0, state.commit, before === undefined);
  }

  private checkKept(before: MemberState, { state }: TraceEvent, terms: TermLog): void {
    const { promised, votedFor } = before;
    rule(state.term >= promised.term, () => `it had answered in term ${promised.term}`);
    const vote = promised.term === state.term ? promised.vote : NONE;
    rule(
      vote === NONE || state.vote === vote,
      () => `it had voted for ${votedFor.get(state.term)}`,
    );
    rule(terms.last >= promised.log, () => `it had acknowledged entry ${promised.log}`);
    const term = before.terms.at(promised.log);
    rule(term === undefined || terms.has(promised.log, term), () => {
      return `it had acknowledged another entry ${promised.log}, of term ${term}`;
    });
  }
}

/**
 * Checks that nothing moved, except that it may have begun to ask for pre-votes, which no event
 * reports.
 */
function same(member: MemberState, seen: Shown): void {
  const asks =
    seen.role === 'StatePreCandidate' &&
    (member.role === 'StateFollower' || member.role === 'StateCandidate') &&
    isVoter(member);
  const expected = asks ? { ...plain(member), role: seen.role } : plain(member);
  rule(describe(expected) === describe(seen), () => {
    return `it is ${describe(seen)}, and was ${describe(member)}`;
  });
}

function plain({ role, term, vote, commit, log }: MemberState): Shown {
  return { role, term, vote, commit, log };
}

/** Reports whether no event has to report it: a vote, or entries for a follower. */
function isSilent(member: MemberState, { role, term, commit, snapshot }: Outcome): boolean {
  const isSame = role === member.role && term === member.term && commit === member.commit;
  return isSame && snapshot === undefined;
}

function isVoter({ conf, id }: MemberState): boolean {
  return conf.some((half) => half.includes(id));
}

/** Figure 2, rules for leaders. Only an entry of its own term commits by counting (figure 8). */
function mayCommit(member: MemberState, commit: number): boolean {
  const { terms, term, conf, match, id } = member;
  if (commit > terms.last || terms.at(commit) !== term) return false;
  return isQuorum(conf, (voter) => voter === id || (match.get(voter) ?? 0) >= commit);
}

function countAnswer(member: MemberState, { type, term, from, reject, index }: TraceMessage): void {
  if (term !== member.term) return;
  if (type === 'MsgVoteResp' && member.role === 'StateCandidate' && !member.votes.has(from)) {
    member.votes.set(from, !reject);
  }
  if (type === 'MsgAppResp' && member.role === 'StateLeader' && !reject) {
    member.match.set(from, Math.max(member.match.get(from) ?? 0, index));
  }
}
