import type { TraceEvent, TraceMessage } from '../trace.js';
import { TermLog } from './term-log.js';

export const NONE = '0';
export type Conf = TraceEvent['conf'];

/** What an event shows of a member, besides the terms of its log. */
export interface Shown {
  readonly role: string;
  readonly term: number;
  readonly vote: string;
  readonly commit: number;
  readonly log: number;
}

export function shownIn({ role, state, log }: TraceEvent): Shown {
  return { role, term: state.term, vote: state.vote, commit: state.commit, log };
}

export function describe({ role, term, vote, commit, log }: Shown): string {
  return `${role} term ${term} vote ${vote} commit ${commit} log ${log}`;
}

/**
 * The variables of the specification for one member: figure 2 of the paper, and what it promised.
 */
export class MemberState implements Shown {
  readonly id: string;
  role = 'StateFollower';
  term = 0;
  vote = NONE;
  commit = 0;
  applied = 0;
  conf: Conf = [[], []];
  terms = new TermLog();

  /** Received, and not yet shown to be handled. */
  pending: TraceMessage | undefined;
  /** Events that must be reported next, in this order. */
  readonly announced: string[] = [];

  /** Candidate: votes received, not counting its own. */
  readonly votes = new Map<string, boolean>();
  /** Leader: how far each member has acknowledged the log. */
  readonly match = new Map<string, number>();
  /** Leader: no membership change before this is applied. */
  changeIndex = 0;

  /** By term, over all its runs. */
  readonly votedFor = new Map<number, string>();
  readonly campaigns = new Map<number, { readonly index: number; readonly logTerm: number }>();
  /** How far it may acknowledge the log, by term. */
  readonly mayAck = new Map<number, number>();
  /** Its log at the end of a leadership: what it sent then may be reported later. */
  led: { readonly term: number; readonly terms: TermLog } | undefined;

  /** What its answers have promised to keep across a crash. */
  readonly promised = { term: 0, vote: NONE, log: 0 };

  constructor(id: string) {
    this.id = id;
  }

  get log(): number {
    return this.terms.last;
  }

  /** The log it sent from as the leader of a term. */
  logAsLeaderOf(term: number): TermLog | undefined {
    if (this.role === 'StateLeader' && this.term === term) return this.terms;
    return this.led?.term === term ? this.led.terms : undefined;
  }
}

/** Both halves of a joint configuration need a majority (thesis §4.3). */
export function isQuorum(conf: Conf, agrees: (id: string) => boolean): boolean {
  return conf.every((half) => half.length === 0 || 2 * half.filter(agrees).length > half.length);
}
