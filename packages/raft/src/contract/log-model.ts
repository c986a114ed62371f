import type { HardState, Index, Term } from '../core/types.js';
import type { Persist, Recovered } from '../storage/storage.js';
import { entries, snapshotAt } from './sample-log.js';

/** Returns integers in [0, `limit`), the same ones for the same seed (mulberry32). */
export function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** The state of the log in its simplest form. */
interface ModelState {
  readonly start: Index;
  readonly startTerm: Term;
  readonly terms: readonly Term[];
  readonly hardState: HardState;
}

/** What a store may hold: the state as of the last sync, or after any unsynced write since. */
export class LogModel {
  private states: ModelState[] = [];
  private crashed = false;

  constructor(recovered: Recovered) {
    this.adopt(recovered);
  }

  adopt({ snapshot, entries: found, hardState }: Recovered): void {
    const terms = found.map(({ term }) => term);
    this.states = [{ start: snapshot.index, startTerm: snapshot.term, terms, hardState }];
    this.crashed = false;
  }

  crash(): void {
    this.crashed = true;
  }

  get start(): Index {
    return this.latest.start;
  }

  /** The last entry certain to stay: compaction goes no further. */
  get synced(): Index {
    return Math.min(...this.states.map(({ start, terms }) => start + terms.length));
  }

  termAt(index: Index): Term {
    const { start, startTerm, terms } = this.latest;
    return index === start ? startTerm : terms[index - start - 1]!;
  }

  randomWrite(random: (limit: number) => number): Persist {
    const { start, terms, hardState } = this.latest;
    const last = start + terms.length;
    const term = hardState.term + random(2);
    const kind = random(6);
    const mustSync = random(3) > 0;
    const ballot = { term, vote: random(4), commit: start };
    if (kind === 0) return { hardState: { ...hardState, commit: last }, entries: [], mustSync };
    if (kind === 1) {
      const snapshot = snapshotAt(last + random(5), Math.max(1, term));
      const rest = entries(snapshot.index + 1, snapshot.index + random(3), Math.max(1, term));
      return { hardState: ballot, snapshot, entries: rest, mustSync: true };
    }
    // Committed entries are never cut off.
    const floor = Math.max(start, hardState.commit);
    const first = floor + 1 + random(last - floor + 1);
    const fresh = entries(first, first + random(6), Math.max(1, term));
    return { hardState: { ...ballot, commit: hardState.commit }, entries: fresh, mustSync };
  }

  apply({ hardState, snapshot, entries: fresh, mustSync }: Persist): void {
    const before = this.latest;
    const start = snapshot?.index ?? before.start;
    const startTerm = snapshot?.term ?? before.startTerm;
    const kept = snapshot === undefined ? before.terms : [];
    const [first] = fresh;
    const head = first === undefined ? kept : kept.slice(0, first.index - start - 1);
    const terms = [...head, ...fresh.map(({ term }) => term)];
    const after = { start, startTerm, terms, hardState: hardState ?? before.hardState };
    this.states = mustSync ? [after] : [...this.states, after];
  }

  compact(index: Index): void {
    this.states = this.states.map((state) => {
      if (index <= state.start) return state;
      const terms = state.terms.slice(index - state.start);
      return { ...state, start: index, startTerm: this.termAt(index), terms };
    });
  }

  /** Reports whether a store may hold this now. */
  allows(recovered: Recovered): boolean {
    const found = describe({
      start: recovered.snapshot.index,
      startTerm: recovered.snapshot.term,
      terms: recovered.entries.map(({ term }) => term),
      hardState: recovered.hardState,
    });
    const possible = this.crashed ? this.states : [this.latest];
    return possible.some((state) => describe(state) === found);
  }

  toString(): string {
    return this.states.map(describe).join(' | ');
  }

  private get latest(): ModelState {
    return this.states.at(-1)!;
  }
}

function describe({ start, startTerm, terms, hardState }: ModelState): string {
  const commit = Math.max(hardState.commit, start);
  return JSON.stringify([start, startTerm, terms, hardState.term, hardState.vote, commit]);
}
