import { type MemberId, type Message, MessageType, type Term } from '@swarm/raft';
import { Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import type { Invariant, Subject } from './subject.js';

/**
 * Paper §5.2, figure 3: at most one leader in a term; a member votes for one candidate in a term.
 */
export class ElectionSafety implements Invariant {
  /** A restarted member is another leader: it has forgotten what it proposed. */
  readonly #leaders = new Map<Term, Subject>();
  readonly #votes = new Map<string, MemberId>();

  check(subject: Subject): void {
    const { id, raft } = subject;
    if (raft.role !== Role.Leader) return;
    const known = this.#leaders.get(raft.term);
    if (known === subject) return;
    if (known !== undefined) {
      const who = known.id === id ? `${id}, before and after a restart,` : `${known.id} and ${id}`;
      throw new Violation('election safety', `${who} both lead in term ${raft.term}`);
    }
    this.#leaders.set(raft.term, subject);
  }

  sent(_subject: Subject, message: Message): void {
    if (message.type !== MessageType.VoteResponse || !message.granted) return;
    const { from, to, term } = message;
    const key = `${term} ${from}`;
    const before = this.#votes.get(key);
    if (before !== undefined && before !== to) {
      throw new Violation(
        'election safety',
        `${from} votes for ${before} and for ${to} in term ${term}`,
      );
    }
    this.#votes.set(key, to);
  }
}
