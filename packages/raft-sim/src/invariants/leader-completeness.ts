import type { Index, MemberId, Term } from '@swarm/raft';
import { Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import type { Evidence, Invariant, Subject } from './subject.js';

/**
 * Paper §5.4.3, figure 3: what was committed in a term is in the logs of the leaders of all later
 * terms. Because logs match, checking the last such entry is enough.
 */
export class LeaderCompleteness implements Invariant {
  readonly #evidence: Evidence;
  readonly #checked = new Map<MemberId, Term>();
  readonly #led = new Map<MemberId, { term: Term; commit: Index }>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  check(subject: Subject): void {
    const { id, raft } = subject;
    this.#checkCommit(subject);
    if (raft.role !== Role.Leader || this.#checked.get(id) === raft.term) return;
    this.#checked.set(id, raft.term);
    const { committed } = this.#evidence;
    let index = committed.length - 1;
    while (index > 0 && committed[index]!.term >= raft.term) index--;
    if (index > 0) this.#mustHold(subject, index);
  }

  /** §5.4.2: a leader counts replicas of its own term's entries only. */
  #checkCommit({ id, raft }: Subject): void {
    const { commit } = raft.log;
    const before = this.#led.get(id);
    if (raft.role !== Role.Leader) {
      if (before !== undefined) this.#led.delete(id);
      return;
    }
    if (before === undefined) {
      this.#led.set(id, { term: raft.term, commit });
      return;
    }
    const counted = before.term === raft.term && before.commit !== commit;
    before.term = raft.term;
    before.commit = commit;
    if (!counted) return;
    if (raft.log.term(commit) === raft.term) return;
    throw new Violation(
      'leader completeness',
      `${id} leads in term ${raft.term} and commits ${commit} of term ${raft.log.term(commit)}`,
    );
  }

  /** More is committed: every leader of a later term must already have it. */
  committed(by: Subject, upTo: Index): void {
    for (const subject of this.#evidence.subjects.values()) {
      const { raft } = subject;
      if (raft.role === Role.Leader && raft.term > by.raft.term) this.#mustHold(subject, upTo);
    }
  }

  #mustHold({ id, raft }: Subject, index: Index): void {
    const { entry } = this.#evidence.committed[index]!;
    if (index < raft.log.firstIndex - 1 || raft.log.term(index) === entry.term) return;
    throw new Violation(
      'leader completeness',
      `${id} leads in term ${raft.term} without ${entry.term}/${index}, which is committed`,
    );
  }

  ended(id: MemberId): void {
    this.#checked.delete(id);
    this.#led.delete(id);
  }
}
