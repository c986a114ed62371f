import type { Index, MemberId } from '@swarm/raft';
import { Violation } from '@swarm/sim';
import { logOf } from '@swarm/raft/internals';
import { type Evidence, type Invariant, type Subject, sameEntry } from './subject.js';

/**
 * Paper §5.3: committed entries never change. Keeps the list of committed entries that other
 * invariants use. The first member to know of a commit is the leader, in the step in which it
 * commits.
 */
export class CommittedImmutable implements Invariant {
  readonly #evidence: Evidence;
  /** How far this run's commits have been compared. */
  readonly #compared = new Map<MemberId, Index>();
  readonly #onCommit: (subject: Subject, from: Index, to: Index) => void;

  constructor(evidence: Evidence, onCommit: (subject: Subject, from: Index, to: Index) => void) {
    this.#evidence = evidence;
    this.#onCommit = onCommit;
  }

  check(subject: Subject): void {
    const { id, raft } = subject;
    const { base } = logOf(raft);
    const { commit } = raft.log;
    const from = this.#compared.get(id);
    if (from !== undefined && commit <= from) return;
    this.#compared.set(id, commit);
    const { committed } = this.#evidence;
    const first = Math.max((from ?? 0) + 1, base.index + 1);
    this.#compareBase(subject);
    const known = committed.length - 1;
    for (let index = first; index <= commit; index++) {
      const entry = raft.log.entry(index)!;
      const before = committed[index];
      if (before === undefined) committed[index] = { entry, term: raft.term };
      else if (!sameEntry(before.entry, entry)) {
        throw new Violation(
          'committed entries are immutable',
          `${id} commits ${entry.term}/${index}, before it was ${before.entry.term}/${index}`,
        );
      }
    }
    if (commit > known) this.#onCommit(subject, known + 1, commit);
  }

  #compareBase({ id, raft }: Subject): void {
    const { base } = logOf(raft);
    if (base.index === 0) return;
    const known = this.#evidence.committed[base.index];
    if (known?.entry.term === base.term) return;
    throw new Violation(
      'committed entries are immutable',
      `the log of ${id} starts after ${base.term}/${base.index}, which is not what was committed`,
    );
  }

  ended(id: MemberId): void {
    this.#compared.delete(id);
  }
}
