import { type Message, MessageType } from '@swarm/raft';
import { Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import type { Invariant, Subject } from './subject.js';

/** Paper, figure 2: persistent state is updated on stable storage before responding. */
export class DurablePromise implements Invariant {
  check(subject: Subject): void {
    this.#checkVote(subject);
    this.#checkStable(subject);
  }

  /**
   * Checks that what counts as durable, to be applied or for a leader to commit, is on disk as it
   * is in memory.
   */
  #checkStable({ id, raft, durable }: Subject): void {
    const { stable, installing } = raft.log.unstable;
    // A snapshot that is being written replaces the log as a whole.
    if (installing) return;
    const term = raft.log.term(stable);
    if (term !== undefined && durable.holds(stable, term)) return;
    throw new Violation(
      'durable before reply',
      `${id} treats ${term}/${stable} as durable; on disk is ${durable.term(stable)}/${stable}`,
    );
  }

  /** A leader's own vote elected it, too. */
  #checkVote({ id, raft, durable }: Subject): void {
    if (raft.role !== Role.Leader) return;
    const { term, vote } = durable.hardState;
    if (term === raft.term && vote === id) return;
    throw new Violation(
      'durable before reply',
      `${id} leads in term ${raft.term} by a vote that is not on its disk`,
    );
  }

  sent(subject: Subject, message: Message): void {
    const { id, durable } = subject;
    const { type, term, to } = message;
    if (type === MessageType.VoteResponse && message.granted) {
      const { hardState } = durable;
      const kept = hardState.term > term || (hardState.term === term && hardState.vote === to);
      if (kept) return;
      throw new Violation('durable before reply', `${id} votes for ${to} in term ${term}`);
    }
    if (type !== MessageType.AppendResponse || message.rejected) return;
    const { match } = message;
    // A plain answer to an old leader promises nothing.
    if (match === 0) return;
    if (durable.hardState.term < term) {
      throw new Violation('durable before reply', `${id} answers in term ${term}, not on disk`);
    }
    // A leader of a later term may have replaced the entries before they were written. The answer
    // is then too late to do harm. A quorum that commits them overlaps the voters of that leader in
    // one member. Either that member accepted the entries first, and so refused its vote, or it
    // moved on first, and so refused the entries.
    const replaced = durable.hardState.term > term;
    if (durable.lastIndex < match && !replaced) {
      throw new Violation(
        'durable before reply',
        `${id} acknowledges ${match}, on disk are entries up to ${durable.lastIndex}`,
      );
    }
  }
}
