import type { ExecutionContext, TestFn } from 'ava';
import { createEntry } from '../../src/codec/entry-codec.js';
import {
  type Entry,
  EntryKind,
  type HardState,
  type Index,
  type SnapshotMeta,
  type Term,
} from '../../src/core/types.js';
import type { LogStorage, Persist, Recovered } from '../../src/storage/storage.js';

/** What a storage under test lives on. */
export interface StorageUnderTest {
  /** A storage over the same place each time; the one before was closed or crashed. */
  create(): LogStorage;
  /** The process using the current storage dies; a later `create` finds what it left. */
  crash(): Promise<void>;
  remove(): Promise<void>;
}

export function entry(index: Index, term: Term, data = `${index}/${term}`): Entry {
  return createEntry(index, term, EntryKind.Normal, Buffer.from(data));
}

export function entries(first: Index, last: Index, term: Term): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, i) => entry(first + i, term));
}

export function snapshotAt(index: Index, term: Term): SnapshotMeta {
  return {
    index,
    term,
    conf: {
      voters: [1, 2, 3],
      votersOutgoing: [1, 2],
      learners: [4],
      learnersNext: [2],
      autoLeave: true,
    },
    members: [{ id: 1, address: 'one.example:2377', nodeId: 'node-one' }],
    removed: [9],
  };
}

/** A write as the core would order it. */
export function write(part: Partial<Persist> & { entries?: readonly Entry[] }): Persist {
  return { entries: [], mustSync: true, ...part };
}

const BALLOT: HardState = { term: 3, vote: 2, commit: 0 };

/** Index and term of each entry. */
export function shape(recovered: Recovered): string {
  return recovered.entries.map(({ index, term }) => `${index}/${term}`).join(' ');
}

/**
 * What every log store must do. @param setup makes a new, empty place.
 */
export function storageContract(
  test: TestFn,
  name: string,
  setup: () => Promise<StorageUnderTest>,
): void {
  const check = (
    title: string,
    body: (
      t: ExecutionContext,
      under: StorageUnderTest,
      reopen: () => Promise<{ storage: LogStorage; recovered: Recovered }>,
    ) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async (t) => {
      const under = await setup();
      let current: LogStorage | undefined;
      try {
        await body(t, under, async () => {
          await current?.close();
          current = under.create();
          return { storage: current, recovered: await current.open() };
        });
      } finally {
        await current?.close();
        await under.remove();
      }
    });
  };

  check('a new store is empty and starts at index 1', async (t, _under, reopen) => {
    const { recovered } = await reopen();
    t.deepEqual(recovered.hardState, { term: 0, vote: 0, commit: 0 });
    t.is(recovered.snapshot.index, 0);
    t.deepEqual(recovered.entries, []);
    t.is(recovered.firstIndex, 1);
  });

  check('what was written is found again, byte for byte', async (t, _under, reopen) => {
    const { storage } = await reopen();
    const odd = createEntry(2, 3, EntryKind.ConfChange, Uint8Array.of(0, 255, 128));
    const empty = createEntry(3, 3, EntryKind.Normal, new Uint8Array());
    await storage.persist(
      write({ hardState: { ...BALLOT, commit: 1 }, entries: [entry(1, 3), odd, empty] }),
    );
    const { recovered } = await reopen();
    t.deepEqual(recovered.hardState, { term: 3, vote: 2, commit: 1 });
    t.is(shape(recovered), '1/3 2/3 3/3');
    t.is(recovered.entries[1]!.kind, EntryKind.ConfChange);
    t.deepEqual([...recovered.entries[1]!.data], [0, 255, 128]);
    t.is(recovered.entries[2]!.data.length, 0);
  });

  check('numbers up to 2^53-1 survive', async (t, _under, reopen) => {
    const { storage } = await reopen();
    const term = Number.MAX_SAFE_INTEGER;
    const index = 2 ** 40;
    await storage.persist(
      write({
        hardState: { term, vote: 2 ** 33 + 1, commit: index },
        snapshot: snapshotAt(index, term),
        entries: [entry(index + 1, term)],
      }),
    );
    const { recovered } = await reopen();
    t.deepEqual(recovered.hardState, { term, vote: 2 ** 33 + 1, commit: index });
    t.is(shape(recovered), `${index + 1}/${term}`);
  });

  check('term and vote without entries are kept', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT }));
    t.deepEqual((await reopen()).recovered.hardState, BALLOT);
  });

  check('a write without hard state keeps the one before', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT }));
    await storage.persist(write({ entries: entries(1, 2, 3) }));
    t.deepEqual((await reopen()).recovered.hardState, BALLOT);
  });

  check('entries replace a conflicting tail', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 5, 1) }));
    await storage.persist(write({ entries: entries(3, 4, 2) }));
    t.is(shape((await reopen()).recovered), '1/1 2/1 3/2 4/2');
  });

  check('the log goes on after a restart', async (t, _under, reopen) => {
    const first = await reopen();
    await first.storage.persist(write({ entries: entries(1, 2, 1) }));
    const second = await reopen();
    await second.storage.persist(write({ entries: entries(2, 3, 2) }));
    t.is(shape((await reopen()).recovered), '1/1 2/2 3/2');
  });

  check('a snapshot replaces the whole log', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 5, 1) }));
    const snapshot = snapshotAt(10, 2);
    await storage.persist(
      write({ hardState: { term: 2, vote: 0, commit: 10 }, snapshot, entries: entries(11, 12, 2) }),
    );
    await storage.persist(write({ entries: entries(13, 13, 2) }));
    const { recovered } = await reopen();
    t.deepEqual(recovered.snapshot, snapshot);
    t.is(recovered.firstIndex, 11);
    t.is(shape(recovered), '11/2 12/2 13/2');
    t.is(recovered.hardState.commit, 10);
  });

  check('a snapshot below the end of the log drops the rest', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 5, 1) }));
    await storage.persist(write({ snapshot: snapshotAt(3, 2) }));
    const { recovered } = await reopen();
    t.is(recovered.snapshot.index, 3);
    t.is(shape(recovered), '');
  });

  check('compaction forgets entries and keeps hard state', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 3, 3) }));
    await storage.persist(
      write({ hardState: { ...BALLOT, commit: 3 }, entries: entries(4, 5, 3) }),
    );
    await storage.compact(snapshotAt(3, 3));
    const { recovered } = await reopen();
    t.deepEqual(recovered.snapshot, snapshotAt(3, 3));
    t.is(recovered.firstIndex, 4);
    t.is(shape(recovered), '4/3 5/3');
    t.deepEqual(recovered.hardState, { ...BALLOT, commit: 3 });
  });

  check('compaction in the middle of one write keeps its rest', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 9, 1) }));
    await storage.persist(write({ entries: entries(8, 8, 2) }));
    await storage.compact(snapshotAt(6, 1));
    t.is(shape((await reopen()).recovered), '7/1 8/2');
  });

  check('the whole log can be compacted and goes on', async (t, _under, reopen) => {
    const first = await reopen();
    await first.storage.persist(write({ hardState: BALLOT, entries: entries(1, 4, 3) }));
    await first.storage.compact(snapshotAt(4, 3));
    const second = await reopen();
    t.deepEqual(second.recovered.hardState, { ...BALLOT, commit: 4 });
    t.is(second.recovered.firstIndex, 5);
    await second.storage.persist(write({ entries: entries(5, 6, 4) }));
    t.is(shape((await reopen()).recovered), '5/4 6/4');
  });

  check('compaction to where the log starts does nothing', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 4, 1) }));
    await storage.compact(snapshotAt(2, 1));
    await storage.compact(snapshotAt(2, 1));
    await storage.compact(snapshotAt(1, 1));
    t.is(shape((await reopen()).recovered), '3/1 4/1');
  });

  check('compaction may run while a write is under way', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 10, 1) }));
    for (let index = 1; index < 10; index++) {
      await Promise.all([
        storage.persist(write({ entries: entries(10 + index, 10 + index, 1) })),
        storage.compact(snapshotAt(index, 1)),
      ]);
    }
    const { recovered } = await reopen();
    t.is(recovered.firstIndex, 10);
    t.is(recovered.entries.length, 10);
    t.is(recovered.entries.at(-1)!.index, 19);
  });

  check('a snapshot and a compaction at once leave the snapshot', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 10, 1) }));
    await Promise.all([
      storage.compact(snapshotAt(5, 1)),
      storage.persist(write({ snapshot: snapshotAt(20, 2) })),
    ]);
    const { recovered } = await reopen();
    t.is(recovered.snapshot.index, 20);
    t.is(shape(recovered), '');
  });

  check(
    'a compaction that comes after a newer snapshot changes nothing',
    async (t, _under, reopen) => {
      const { storage } = await reopen();
      await storage.persist(write({ entries: entries(1, 10, 1) }));
      // Asked for while the snapshot is being written, and once more when it is durable.
      await Promise.all([
        storage.persist(write({ snapshot: snapshotAt(20, 2) })),
        storage.compact(snapshotAt(5, 1)),
      ]);
      await storage.compact(snapshotAt(7, 1));
      await storage.persist(write({ entries: entries(21, 22, 2) }));
      const { recovered } = await reopen();
      t.is(recovered.snapshot.index, 20);
      t.is(shape(recovered), '21/2 22/2');
    },
  );

  check('unsynced writes are read back when nothing crashed', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 3, 3) }));
    const committed = { ...BALLOT, commit: 2 };
    await storage.persist(write({ hardState: committed, mustSync: false }));
    t.deepEqual((await reopen()).recovered.hardState, committed);
  });

  check('a synced write makes the unsynced ones before it last', async (t, under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await storage.persist(write({ entries: entries(2, 4, 2), mustSync: false }));
    await storage.persist(write({ entries: entries(4, 4, 3) }));
    await under.crash();
    t.is(shape((await reopen()).recovered), '1/1 2/2 3/2 4/3');
  });

  check('a synced write survives a crash', async (t, under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 2, 1) }));
    await storage.compact(snapshotAt(1, 1));
    await under.crash();
    const { recovered } = await reopen();
    t.is(shape(recovered), '2/1');
    t.is(recovered.hardState.vote, 2);
  });

  check('random histories with crashes read back as a model says', async (t, under, reopen) => {
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const random = generator(seed);
      const model = new Model((await reopen()).recovered);
      for (let life = 0; life < 4; life++) {
        const { storage, recovered } = await reopen();
        t.true(model.allows(recovered), `seed ${seed}: ${shape(recovered)} not in ${model}`);
        model.adopt(recovered);
        for (let step = 0; step < 12; step++) {
          if (random(5) === 0) {
            const index = model.start + random(model.synced - model.start + 1);
            await storage.compact(snapshotAt(index, model.termAt(index)));
            model.compact(index);
          } else {
            const next = model.randomWrite(random);
            await storage.persist(next);
            model.apply(next);
          }
        }
        if (random(2) === 0) {
          await under.crash();
          model.crash();
        }
      }
    }
  });

  check('a hole in the log is refused before it is written', async (t, _under, reopen) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await t.throwsAsync(storage.persist(write({ entries: entries(4, 4, 1) })), {
      message: /hole/,
    });
    t.is(shape((await reopen()).recovered), '1/1 2/1');
  });

  check('a second write while one is under way is refused', async (t, _under, reopen) => {
    const { storage } = await reopen();
    const first = storage.persist(write({ entries: entries(1, 1, 1) }));
    await t.throwsAsync(storage.persist(write({ entries: entries(2, 2, 1) })), {
      message: /at once/,
    });
    await first;
  });
}

const HISTORIES = 5;

/** A number from 0 to below `limit`, the same ones for the same seed (mulberry32). */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

/** The log as plain as it gets. */
interface ModelState {
  readonly start: Index;
  readonly startTerm: Term;
  readonly terms: readonly Term[];
  readonly hardState: HardState;
}

/** What a store may hold: the state as of the last sync, and each one after an unsynced write since. */
class Model {
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

  /** The last entry that surely stays: only such ones are compacted. */
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
    // What is committed is never cut off.
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

  /** Whether a store may hold this now. */
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
