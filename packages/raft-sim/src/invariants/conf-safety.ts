import {
  type ConfState,
  EntryKind,
  type Index,
  type MemberId,
  type Message,
  MessageType,
  type SnapshotMeta,
  type Term,
} from '@swarm/raft';
import { describeConf, Role } from '@swarm/raft/internals';
import { Violation } from '@swarm/sim';
import { ConfHistory } from '../conf-history.js';
import { changesAhead } from '../internals.js';
import type { Evidence, Invariant, Subject } from './subject.js';

interface Seen {
  readonly conf: ConfState;
  readonly applied: Index;
}

/**
 * Thesis chapter 4. All members go through the same configurations, those of the committed entries,
 * and so do snapshots. A leader proposes a change only when the previous one is in force. A member
 * that campaigns or leads is at most one change behind its log, because majorities of neighbouring
 * configurations overlap and others need not. A removed member no longer leads.
 */
export class ConfSafety implements Invariant {
  readonly #history: ConfHistory;
  readonly #evidence: Evidence;
  /**
   * Snapshots sent in the very step that committed their last entry, which is checked after the
   * step.
   */
  #early: { readonly id: MemberId; readonly snapshot: SnapshotMeta }[] = [];
  readonly #seen = new Map<MemberId, Seen>();
  readonly #lastIndexes = new Map<MemberId, Index>();
  readonly #starts = new Map<MemberId, SnapshotMeta>();
  readonly #campaigns = new Map<MemberId, Term>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    this.#history = new ConfHistory(evidence.committed);
  }

  check(subject: Subject): void {
    const early = this.#early;
    if (early.length > 0) {
      this.#early = [];
      for (const { id, snapshot } of early) this.#compareSnapshot(id, snapshot);
    }
    this.#checkPending(subject);
    this.#checkElectorate(subject);
    const { id, raft, durable } = subject;
    const { conf } = raft.tracker;
    const { applied } = raft.log;
    const seen = this.#seen.get(id);
    if (seen?.conf !== conf || seen.applied !== applied) {
      this.#seen.set(id, { conf, applied });
      this.#compare(`the configuration of ${id}`, applied, conf);
    }
    const { start } = durable;
    if (start !== undefined && this.#starts.get(id) !== start) {
      this.#starts.set(id, start);
      this.#compare(`the start of the log of ${id}`, start.index, start.conf);
    }
    if (raft.role !== Role.Leader) return;
    if (conf.voters.includes(id) || conf.votersOutgoing.includes(id)) return;
    throw new Violation('conf safety', `${id} leads and is not a voter of ${describeConf(conf)}`);
  }

  sent({ id }: Subject, message: Message): void {
    if (message.type !== MessageType.Snapshot || message.snapshot === undefined) return;
    this.#compareSnapshot(id, message.snapshot);
  }

  #compareSnapshot(id: MemberId, snapshot: SnapshotMeta): void {
    const { index, conf } = snapshot;
    if (index < this.#evidence.committed.length)
      this.#compare(`the snapshot of ${id}`, index, conf);
    else this.#early.push({ id, snapshot });
  }

  #compare(what: string, index: Index, conf: ConfState): void {
    const known = describeConf(this.#history.at(index));
    const text = describeConf(conf);
    if (text === known) return;
    throw new Violation('conf safety', `${what} at ${index} is ${text}, should be ${known}`);
  }

  #checkPending({ id, raft }: Subject): void {
    const { log, role, term } = raft;
    if (role !== Role.Leader || this.#lastIndexes.get(id) === log.lastIndex) return;
    this.#lastIndexes.set(id, log.lastIndex);
    let newer = 0;
    for (let index = log.lastIndex; index > log.applied; index--) {
      const entry = log.entry(index)!;
      if (entry.kind !== EntryKind.ConfChange) continue;
      if (newer > 0) {
        throw new Violation(
          'conf safety',
          `${id} proposed the change at ${newer} before the one at ${index} was applied`,
        );
      }
      if (entry.term === term) newer = index;
    }
  }

  #checkElectorate({ id, raft }: Subject): void {
    const { role, term } = raft;
    if (role !== Role.Candidate && role !== Role.Leader) return;
    if (this.#campaigns.get(id) === term) return;
    if (role === Role.Leader) this.#campaigns.set(id, term);
    const changes = changesAhead(raft);
    if (changes <= 1) return;
    throw new Violation(
      'conf safety',
      `${id} campaigns in term ${term} by a configuration that is ${changes} changes behind its log`,
    );
  }

  ended(id: MemberId): void {
    this.#seen.delete(id);
    this.#lastIndexes.delete(id);
    this.#campaigns.delete(id);
  }
}
