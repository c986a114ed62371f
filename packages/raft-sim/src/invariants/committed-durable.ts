import type { ConfState, Index, MemberId } from '@swarm/raft';
import { Violation } from '@swarm/sim';
import { isQuorum } from './quorum.js';
import type { Evidence, Invariant, Subject } from './subject.js';

/**
 * Thesis §3.6 and appendix B: a committed entry is on the disks of a quorum when it is committed.
 * DurableLog checks that it stays there, whenever a log is reopened.
 */
export class CommittedDurable implements Invariant {
  readonly #evidence: Evidence;
  readonly #confs = new Map<MemberId, ConfState>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  /** Keeps the configuration of the previous step: a commit may have changed it. */
  check({ id, raft }: Subject): void {
    this.#confs.set(id, raft.tracker.conf);
  }

  /** Called before `check`, in the step that commits. */
  committed({ id, raft }: Subject, upTo: Index): void {
    const before = this.#confs.get(id) ?? raft.tracker.conf;
    if (this.#onQuorum(before, upTo) || this.#onQuorum(raft.tracker.conf, upTo)) return;
    throw new Violation(
      'committed entries are durable',
      `${id} commits ${upTo} in term ${raft.term}, which no quorum has on disk`,
    );
  }

  #onQuorum(conf: ConfState, index: Index): boolean {
    const { term } = this.#evidence.committed[index]!.entry;
    const holds = (id: MemberId) => this.#evidence.durable(id)?.holds(index, term) === true;
    return isQuorum(conf, holds);
  }

  ended(id: MemberId): void {
    this.#confs.delete(id);
  }
}
