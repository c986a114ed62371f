import { assert } from './assert.js';
import { type Entry, EntryKind, type Index, type SnapshotMeta, type Term } from './types.js';
import { Unstable } from './unstable.js';

/** What an entry costs besides its data: its header on the wire and on disk. */
const ENTRY_OVERHEAD_BYTES = 32;

export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

/**
 * The point where the log and a peer's may diverge: the index, and our term there (0 when not
 * known).
 */
export interface Conflict {
  readonly index: Index;
  readonly term: Term;
}

/**
 * The log, held in memory from the last compaction on.
 *
 * Invariants: `base.index <= applied <= applying <= commit <= lastIndex`; entries are contiguous
 * from `base.index + 1`; terms never fall. The entry at an index up to `commit` never changes.
 */
export class Log {
  private base: { readonly index: Index; readonly term: Term };
  private entries: Entry[];
  /** Highest index known to be committed. */
  commit: Index;
  /** Highest index handed out to be applied. */
  applying: Index;
  /** Highest index applied. */
  applied: Index;
  readonly unstable: Unstable;

  constructor(base: { index: Index; term: Term }, entries: readonly Entry[], commit: Index) {
    this.base = { index: base.index, term: base.term };
    this.entries = entries.slice();
    assert(
      entries.every((entry, i) => entry.index === base.index + 1 + i),
      'log has a gap',
    );
    assert(commit >= base.index && commit <= this.lastIndex, 'commit outside the log', commit);
    this.commit = commit;
    this.applying = base.index;
    this.applied = base.index;
    this.unstable = new Unstable(this.lastIndex);
  }

  /** First index still held; `lastIndex + 1` when the log is empty. */
  get firstIndex(): Index {
    return this.base.index + 1;
  }

  get lastIndex(): Index {
    return this.base.index + this.entries.length;
  }

  get lastTerm(): Term {
    return this.entries.at(-1)?.term ?? this.base.term;
  }

  /**
   * Undefined when the entry is compacted or does not exist. Never 0, which would match a compacted
   * entry.
   */
  term(index: Index): Term | undefined {
    if (index === this.base.index) return this.base.term;
    return this.entries[index - this.base.index - 1]?.term;
  }

  matches(index: Index, term: Term): boolean {
    return this.term(index) === term;
  }

  entry(index: Index): Entry | undefined {
    return this.entries[index - this.base.index - 1];
  }

  /** Reports whether a membership change is among the entries of (after, upTo]. */
  hasConfChange(after: Index, upTo: Index): boolean {
    for (let index = after + 1; index <= upTo; index++) {
      if (this.entry(index)?.kind === EntryKind.ConfChange) return true;
    }
    return false;
  }

  /** Returns entries of (after, upTo], up to `maxBytes` but at least one if there is one. */
  slice(after: Index, upTo: Index, maxBytes: number): Entry[] {
    assert(
      after >= this.base.index && upTo <= this.lastIndex,
      'slice outside the log',
      after,
      upTo,
    );
    const from = after - this.base.index;
    const end = upTo - this.base.index;
    if (from >= end) return [];
    let to = from;
    let bytes = 0;
    while (to < end) {
      bytes += entryBytes(this.entries[to]!);
      if (bytes > maxBytes && to > from) break;
      to++;
    }
    return this.entries.slice(from, to);
  }

  /**
   * Returns the index that leaves `count` entries after it up to `upTo`, or fewer if they exceed
   * `maxBytes`.
   */
  indexBefore(upTo: Index, count: number, maxBytes: number): Index {
    const least = Math.max(this.base.index, upTo - count);
    let index = upTo;
    let bytes = 0;
    while (index > least) {
      bytes += entryBytes(this.entry(index)!);
      if (bytes > maxBytes) break;
      index--;
    }
    return index;
  }

  /** Paper §5.4.1: a later last term wins, then a longer log. */
  isUpToDate(lastIndex: Index, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Appends the leader's own entries after the last one. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index === this.lastIndex + 1, 'append leaves a gap', first.index, this.lastIndex);
    for (const entry of entries) this.entries.push(entry);
  }

  /**
   * Takes over a leader's append if we also have the entry (`index`, `term`) that it follows. Cuts
   * the log only where an entry conflicts, so that a late, shorter append undoes nothing.
   * @returns the last index now known to match, or undefined when the logs do not match there
   */
  tryAppend(index: Index, term: Term, entries: readonly Entry[]): Index | undefined {
    if (!this.matches(index, term)) return undefined;
    const fresh = entries.findIndex((entry) => !this.matches(entry.index, entry.term));
    if (fresh >= 0) {
      const first = entries[fresh]!.index;
      assert(
        first > this.commit,
        'a committed entry conflicts with the leader',
        first,
        this.commit,
      );
      this.entries.length = first - this.base.index - 1;
      this.unstable.changedFrom(first);
      this.append(entries.slice(fresh));
    }
    return index + entries.length;
  }

  /**
   * Returns the last position up to `index` whose term is at most `term`: the two logs cannot match
   * above it. Both sides use it, so a leader needs at most one probe for each conflicting term.
   */
  conflictByTerm(index: Index, term: Term): Conflict {
    for (let i = Math.min(index, this.lastIndex); i > 0; i--) {
      const ours = this.term(i);
      if (ours === undefined) return { index: i, term: 0 };
      if (ours <= term) return { index: i, term: ours };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: Index): boolean {
    if (index <= this.commit) return false;
    assert(
      index <= this.lastIndex,
      'commit beyond the last entry: this member lost entries it had acknowledged; remove it from the cluster and let it rejoin under a new id',
      index,
      this.lastIndex,
    );
    this.commit = index;
    return true;
  }

  /** Last index that may be applied: committed, and durable here. */
  get applicable(): Index {
    return Math.min(this.commit, this.unstable.stable);
  }

  takeApply(maxBytes: number): Entry[] {
    const upTo = this.applicable;
    if (upTo <= this.applying) return [];
    const entries = this.slice(this.applying, upTo, maxBytes);
    this.applying += entries.length;
    return entries;
  }

  appliedTo(index: Index): void {
    // A snapshot may have overtaken entries that were being applied.
    if (index <= this.applied) return;
    assert(
      index <= this.applying,
      'an entry was applied that was not handed out',
      index,
      this.applying,
    );
    this.applied = index;
  }

  /** Starts with everything up to `index` already applied. */
  resumeAt(index: Index): void {
    assert(index >= this.applied && index <= this.commit, 'resume outside the log', index);
    this.applied = index;
    this.applying = index;
  }

  /** Forgets entries up to `index`, which are applied and durable. */
  compact(index: Index): void {
    if (index <= this.base.index) return;
    assert(index <= this.applied, 'compaction beyond the applied index', index, this.applied);
    assert(index <= this.unstable.stable, 'compaction beyond the durable index', index);
    const term = this.term(index);
    assert(term !== undefined, 'compaction outside the log', index);
    this.entries = this.entries.slice(index - this.base.index);
    this.base = { index, term };
  }

  /**
   * Replaces the whole log with a snapshot, including a conflicting tail (paper figure 13, rule 7).
   */
  restore(snapshot: SnapshotMeta): void {
    assert(snapshot.index > this.commit, 'snapshot older than the commit', snapshot.index);
    this.entries = [];
    this.base = { index: snapshot.index, term: snapshot.term };
    this.commit = snapshot.index;
    this.applying = snapshot.index;
    this.applied = snapshot.index;
    this.unstable.restore(snapshot);
  }
}
