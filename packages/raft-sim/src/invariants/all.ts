import type { Index, MemberId, Message } from '@swarm/raft';
import { CommitProven } from './commit-proven.js';
import { CommittedDurable } from './committed-durable.js';
import { CommittedImmutable } from './committed-immutable.js';
import { ConfSafety } from './conf-safety.js';
import { DurablePromise } from './durable-promise.js';
import { ElectionRestriction } from './election-restriction.js';
import { ElectionSafety } from './election-safety.js';
import { LeaderCompleteness } from './leader-completeness.js';
import { LeaseSafety } from './lease-safety.js';
import { LogMatching } from './log-matching.js';
import { Monotonic } from './monotonic.js';
import { SnapshotReported } from './snapshot-reported.js';
import { StateMachineSafety } from './state-machine-safety.js';
import type { Evidence, Invariant, Subject } from './subject.js';

type Listener = Invariant & Required<Pick<Invariant, 'sent'>>;

function hearsMessages(invariant: Invariant): invariant is Listener {
  return invariant.sent !== undefined;
}

/** All invariants together. */
export class Invariants {
  readonly elections = new ElectionSafety();
  readonly stateMachines = new StateMachineSafety();
  readonly #all: readonly Invariant[];
  /** The invariants that inspect messages. */
  readonly #listeners: readonly Listener[];

  constructor(evidence: Evidence) {
    const durable = new CommittedDurable(evidence);
    const completeness = new LeaderCompleteness(evidence);
    const committed = (subject: Subject, _from: Index, to: Index) => {
      durable.committed(subject, to);
      completeness.committed(subject, to);
    };
    this.#all = [
      new Monotonic(),
      this.elections,
      new LogMatching(),
      new CommittedImmutable(evidence, committed),
      completeness,
      durable,
      new CommitProven(),
      new ElectionRestriction(),
      new SnapshotReported(),
      new ConfSafety(evidence),
      new DurablePromise(),
      new LeaseSafety(evidence),
    ];
    this.#listeners = this.#all.filter(hearsMessages);
  }

  /** @throws Violation */
  check(subject: Subject): void {
    for (const invariant of this.#all) invariant.check(subject);
  }

  /** @throws Violation */
  sent(subject: Subject, message: Message): void {
    for (const invariant of this.#listeners) invariant.sent(subject, message);
  }

  arrived(subject: Subject, message: Message): void {
    for (const invariant of this.#all) invariant.arrived?.(subject, message);
  }

  ended(id: MemberId): void {
    for (const invariant of this.#all) invariant.ended?.(id);
  }
}
