import type { MemberId, Term } from '@swarm/raft';
import { leaseRemainingMs, Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import type { Evidence, Invariant, Subject } from './subject.js';

/** Thesis §6.4.1: while a leader holds a lease, no other is elected after it. */
export class LeaseSafety implements Invariant {
  readonly #evidence: Evidence;
  #latest: { readonly id: MemberId; readonly term: Term } = { id: 0, term: 0 };

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  check(subject: Subject): void {
    const { id, raft } = subject;
    if (raft.role !== Role.Leader) return;
    if (raft.term > this.#latest.term) {
      this.#latest = { id, term: raft.term };
      for (const other of this.#evidence.subjects.values()) this.#checkDeposed(other);
    } else this.#checkDeposed(subject);
  }

  /** Checks a paused leader too: what it would believe if it continued now. */
  #checkDeposed({ id, raft, nowMs }: Subject): void {
    const latest = this.#latest;
    if (raft.role !== Role.Leader || raft.term >= latest.term) return;
    const leftMs = leaseRemainingMs(raft, nowMs());
    if (leftMs === 0) return;
    throw new Violation(
      'lease safety',
      `${latest.id} leads in term ${latest.term}; ${id} holds a lease of term ${raft.term} for ${leftMs} ms more`,
    );
  }
}
