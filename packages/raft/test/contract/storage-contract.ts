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
