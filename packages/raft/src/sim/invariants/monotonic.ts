import type { Index, MemberId, Term } from '../../core/types.js';
import { Violation } from '../violation.js';
import type { Invariant, Subject } from './subject.js';

interface Before {
  readonly term: Term;
  readonly vote: MemberId;
  readonly commit: Index;
  readonly applied: Index;
}

/**
 * Paper, figure 2: term, commit and applied only grow, and a vote once given in a term stays. Also
 * the order of marks on the log: first <= applied <= commit <= last.
 */
export class Monotonic implements Invariant {
  private readonly before = new Map<MemberId, Before>();

  check({ id, raft }: Subject): void {
    const { term, vote, log } = raft;
    const now: Before = { term, vote, commit: log.commit, applied: log.applied };
    const before = this.before.get(id);
    this.before.set(id, now);
    const ordered =
      log.firstIndex - 1 <= log.applied && log.applied <= log.commit && log.commit <= log.lastIndex;
    if (!ordered) {
      const marks = [log.firstIndex, log.applied, log.commit, log.lastIndex].join(' ');
      throw new Violation('order of the log', `${id}: first, applied, commit, last are ${marks}`);
    }
    if (before === undefined) return;
    for (const name of ['term', 'commit', 'applied'] as const) {
      if (now[name] >= before[name]) continue;
      throw new Violation(
        `monotonic ${name}`,
        `${name} of ${id} falls from ${before[name]} to ${now[name]}`,
      );
    }
    if (term === before.term && before.vote !== 0 && vote !== before.vote) {
      throw new Violation(
        'one vote in a term',
        `${id} changes its vote in term ${term} from ${before.vote} to ${vote}`,
      );
    }
  }

  ended(id: MemberId): void {
    this.before.delete(id);
  }
}
