import type { Entry, Index, MemberId, Term } from '@swarm/raft';
import { Violation } from '@swarm/sim';
import { logOf } from '@swarm/raft/internals';
import { type Invariant, type Subject, sameEntry } from './subject.js';

interface Seen {
  readonly entry: Entry;
  readonly previousTerm: Term;
}

/**
 * A member's log as it was after its last step. Entries are immutable, so comparing identity is
 * enough.
 */
interface Mirror {
  base: Index;
  baseTerm: Term;
  entries: Entry[];
}

const TERM_LIMIT = 2 ** 20;

/**
 * Paper §5.3, figure 3: if two logs hold an entry with the same index and term, they are the same
 * up to there. Shown by induction: each (index, term) only ever has one entry and one entry before
 * it.
 */
export class LogMatching implements Invariant {
  readonly #seen = new Map<number, Seen>();
  readonly #mirrors = new Map<MemberId, Mirror>();

  check(subject: Subject): void {
    const { id, raft } = subject;
    const { base, entries } = logOf(raft);
    let mirror = this.#mirrors.get(id);
    if (mirror === undefined || base.index > mirror.base + mirror.entries.length) {
      mirror = { base: base.index, baseTerm: base.term, entries: [] };
      this.#mirrors.set(id, mirror);
    }
    const offset = base.index - mirror.base;
    // A snapshot may put another past before entries that stay.
    const past = offset === 0 ? mirror.baseTerm : mirror.entries[offset - 1]?.term;
    if (past !== base.term && entries[0] !== undefined) this.#look(id, entries[0], base.term);
    let unchanged = entries.length;
    while (unchanged > 0 && mirror.entries[offset + unchanged - 1] !== entries[unchanged - 1]) {
      unchanged--;
    }
    if (unchanged === entries.length && mirror.entries.length === offset + unchanged) return;
    for (let i = unchanged; i < entries.length; i++) {
      const previousTerm = i === 0 ? base.term : entries[i - 1]!.term;
      this.#look(id, entries[i]!, previousTerm);
    }
    mirror.baseTerm = base.term;
    if (offset > 0) {
      mirror.entries = entries.slice();
      mirror.base = base.index;
      return;
    }
    while (mirror.entries.length > unchanged) mirror.entries.pop();
    for (let i = unchanged; i < entries.length; i++) mirror.entries.push(entries[i]!);
  }

  #look(id: MemberId, entry: Entry, previousTerm: Term): void {
    const key = entry.index * TERM_LIMIT + entry.term;
    const seen = this.#seen.get(key);
    if (seen === undefined) {
      this.#seen.set(key, { entry, previousTerm });
      return;
    }
    if (sameEntry(seen.entry, entry) && seen.previousTerm === previousTerm) return;
    throw new Violation(
      'log matching',
      `${id} holds ${entry.term}/${entry.index} after term ${previousTerm}, ` +
        `elsewhere it is another entry or follows term ${seen.previousTerm}`,
    );
  }

  ended(id: MemberId): void {
    this.#mirrors.delete(id);
  }
}
