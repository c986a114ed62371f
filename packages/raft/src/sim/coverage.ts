import { PLAYS } from './plan.js';

/**
 * How often faults and rare states occurred. A simulator that never reaches a state says nothing
 * about it, so the states we care about are listed, and those never reached are shown.
 */
export class Coverage {
  readonly counts = new Map<string, number>();

  mark(name: Mark): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  add(counts: Iterable<readonly [name: string, count: number]>): void {
    for (const [name, count] of counts) {
      this.counts.set(name, (this.counts.get(name) ?? 0) + count);
    }
  }

  get missing(): readonly Mark[] {
    return MARKS.filter((mark) => !this.counts.has(mark));
  }

  /** One line for each mark, most frequent first. */
  describe(): string {
    const rows = MARKS.map((mark) => [mark, this.counts.get(mark) ?? 0] as const);
    return [...rows]
      .sort((a, b) => b[1] - a[1])
      .map(([mark, count]) => `  ${String(count).padStart(10)}  ${mark}`)
      .join('\n');
  }
}

/** Every mark there is; grouped as faults, storage, elections, log, membership, reads, clients. */
export const MARKS = [
  'message lost',
  'message duplicated',
  'message reordered',
  'message replayed',
  'link clogged',
  'partition one-way',
  'partition bridge',
  'partition in two',
  'partition of one',
  'bare quorum',
  'crash',
  'crash at a storage step',
  'crash while starting',
  'crash while restoring',
  'crash of all',
  'pause',
  'clock jump',
  'disk stall',
  'disk full',
  'bit flip',
  'write misdirected',
  'files lost',
  'disk lost',
  'rolling restart',
  'leader paused and cut off',
  'voters of a leader restart',
  ...PLAYS,
  'write torn by a crash',
  'unsynced write kept by a crash',
  'write-ahead file full',
  'tables merged',
  'damage that can not be noticed',
  'state ahead of the log after a crash',
  'damage noticed',
  'election',
  'election after a split vote',
  'two leaders at once',
  'leader steps down',
  'leader steps down for its disk',
  'pre-vote refused',
  'tail overwritten',
  'snapshot taken over',
  'snapshot broken off',
  'snapshot resumed',
  'kept snapshot given up',
  'snapshot over a tail',
  'log compacted',
  'append refused',
  'window full',
  'earlier term committed with a later one',
  'joint configuration',
  'joint configuration left by a later leader',
  'learner promoted',
  'voter demoted',
  'member added',
  'member removed',
  'member replaced',
  'leader removed',
  'leadership handed over',
  'read on a leader',
  'read on a follower',
  'read served by lease',
  'lease run out',
  'proposal acknowledged',
  'proposal refused',
  'proposal unknown',
  'client timed out',
  'quorum of disks lost',
] as const;
export type Mark = (typeof MARKS)[number];
