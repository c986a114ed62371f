import type { Index, MemberId, Term } from '@swarm/raft';
import { Violation } from '@swarm/sim';
import type { Invariant, Subject } from './subject.js';

/** Reused in each step: making a new one costs more than all the comparing. */
interface Before {
  term: Term;
  vote: MemberId;
  commit: Index;
  applied: Index;
}

/**
 * Paper, figure 2: term, commit and applied only grow, and a vote once given in a term stays. Also
 * checks the order of marks on the log: first <= applied <= commit <= last.
 */
export class Monotonic implements Invariant {
  readonly #before = new Map<MemberId, Before>();

  check({ id, raft }: Subject): void {
    const { term, vote, log } = raft;
    const { commit, applied } = log;
    const ordered = log.firstIndex - 1 <= applied && applied <= commit && commit <= log.lastIndex;
    if (!ordered) {
      const marks = [log.firstIndex, log.applied, log.commit, log.lastIndex].join(' ');
      throw new Violation('order of the log', `${id}: first, applied, commit, last are ${marks}`);
    }
    const before = this.#before.get(id);
    if (before === undefined) {
      this.#before.set(id, { term, vote, commit, applied });
      return;
    }
    grows('term', id, before.term, term);
    grows('commit', id, before.commit, commit);
    grows('applied', id, before.applied, applied);
    if (term === before.term && before.vote !== 0 && vote !== before.vote) {
      throw new Violation(
        'one vote in a term',
        `${id} changes its vote in term ${term} from ${before.vote} to ${vote}`,
      );
    }
    before.term = term;
    before.vote = vote;
    before.commit = commit;
    before.applied = applied;
  }

  ended(id: MemberId): void {
    this.#before.delete(id);
  }
}

function grows(name: string, id: MemberId, before: number, now: number): void {
  if (now >= before) return;
  throw new Violation(`monotonic ${name}`, `${name} of ${id} falls from ${before} to ${now}`);
}
