import { describeConf } from '../../core/describe.js';
import { Role } from '../../core/raft.js';
import { type ConfState, EntryKind, type Index, type MemberId } from '../../core/types.js';
import { Violation } from '../violation.js';
import type { Invariant, Subject } from './subject.js';

/**
 * Thesis §4.1 and §4.3: all members go through the same configurations, a leader proposes a change
 * only when the one before it is in force, and whoever was removed never comes back.
 */
export class ConfSafety implements Invariant {
  private readonly confs = new Map<Index, string>();
  private readonly last = new Map<MemberId, ConfState>();
  private readonly lastIndexes = new Map<MemberId, Index>();
  /** Where an id was removed. */
  private readonly removed = new Map<MemberId, Index>();

  check(subject: Subject): void {
    this.checkPending(subject);
    const { id, raft, membership } = subject;
    const { conf } = raft.tracker;
    if (this.last.get(id) === conf) return;
    this.last.set(id, conf);
    const { index, removed } = membership.current;
    for (const gone of removed) if (!this.removed.has(gone)) this.removed.set(gone, index);
    for (const [gone, at] of this.removed) {
      const back = [...conf.voters, ...conf.votersOutgoing, ...conf.learners].includes(gone);
      if (back && index > at) {
        throw new Violation('conf safety', `${gone}, removed at ${at}, is back at ${index}`);
      }
    }
    // A snapshot's membership has the snapshot's index, not that of the change.
    if (raft.log.entry(index)?.kind !== EntryKind.ConfChange) return;
    const text = describeConf(conf);
    const known = this.confs.get(index);
    if (known === undefined) this.confs.set(index, text);
    else if (known !== text) {
      throw new Violation(
        'conf safety',
        `the configuration at ${index} is ${text} for ${id}, elsewhere ${known}`,
      );
    }
  }

  private checkPending({ id, raft }: Subject): void {
    const { log, role, term } = raft;
    if (role !== Role.Leader || this.lastIndexes.get(id) === log.lastIndex) return;
    this.lastIndexes.set(id, log.lastIndex);
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

  ended(id: MemberId): void {
    this.last.delete(id);
    this.lastIndexes.delete(id);
  }
}
