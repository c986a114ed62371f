import {
  type Index,
  type MemberId,
  type Message,
  MessageType,
  NOBODY,
  type Term,
} from '@swarm/raft';
import { Violation } from '@swarm/sim';
import type { Invariant, Subject } from './subject.js';

/** Above every member id. */
const TERM_STRIDE = 1000;

/**
 * Paper §5.4.1: a vote goes only to a candidate whose log is at least as up-to-date as the voter's.
 * Checks it against what the candidate said of its log, when the vote is given: the consequence, a
 * leader that lacks something committed, may need more bad luck.
 */
export class ElectionRestriction implements Invariant {
  readonly #asked = new Map<number, { readonly last: Index; readonly lastTerm: Term }>();
  readonly #votes = new Map<MemberId, number>();

  sent(_subject: Subject, message: Message): void {
    if (message.type !== MessageType.Vote) return;
    const { from, term, lastIndex: last, lastTerm } = message;
    this.#asked.set(term * TERM_STRIDE + from, { last, lastTerm });
  }

  check({ id, raft }: Subject): void {
    const { vote, term, log } = raft;
    const key = term * TERM_STRIDE + vote;
    const before = this.#votes.get(id);
    if (before === key) return;
    this.#votes.set(id, key);
    // The vote is from an earlier run, or the leader elected by it has changed the log in the same
    // step.
    if (before === undefined || vote === NOBODY || vote === id || raft.leader !== NOBODY) return;
    const candidate = this.#asked.get(key);
    if (candidate === undefined) {
      throw new Violation('election restriction', `${id} votes for ${vote}, which did not ask`);
    }
    const { last, lastTerm } = candidate;
    if (lastTerm > log.lastTerm || (lastTerm === log.lastTerm && last >= log.lastIndex)) return;
    throw new Violation(
      'election restriction',
      `${id}, whose log ends at ${log.lastTerm}/${log.lastIndex}, votes in term ${term} for ` +
        `${vote}, whose log ends at ${lastTerm}/${last}`,
    );
  }

  ended(id: MemberId): void {
    this.#votes.delete(id);
  }
}
