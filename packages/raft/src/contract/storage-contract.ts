import assert from 'node:assert/strict';
import { createEntry } from '../codec/entry-codec.js';
import { EntryKind, type HardState } from '../core/types.js';
import type { LogStorage, Recovered } from '../storage/storage.js';
import type { ContractCase } from './contract-case.js';
import { generator, LogModel } from './log-model.js';
import { entries, entry, shape, snapshotAt, write } from './sample-log.js';

/** The place that a storage under test uses. */
export interface StorageUnderTest {
  /** Makes a storage over the same place each time; the previous one was closed or crashed. */
  create(): LogStorage;
  /**
   * Kills the process that uses the current storage; a later `create` finds what it left.
   * Acknowledged synced writes must be there. Of later writes, the fixture keeps as many as it
   * likes, in order.
   */
  crash(): Promise<void>;
  /** Ends the case: nothing may be left. The current storage is already closed. */
  remove(): Promise<void>;
}

interface Tools {
  readonly under: StorageUnderTest;
  /** Closes the storage, if there is one, and opens the next over the same place. */
  reopen(): Promise<{ readonly storage: LogStorage; readonly recovered: Recovered }>;
}

const BALLOT: HardState = { term: 3, vote: 2, commit: 0 };
const HISTORIES = 5;

function check(
  name: string,
  body: (tools: Tools) => Promise<void>,
): ContractCase<StorageUnderTest> {
  return {
    name,
    run: async (setup) => {
      const under = await setup();
      let current: LogStorage | undefined;
      const reopen = async () => {
        await current?.close();
        current = under.create();
        return { storage: current, recovered: await current.open() };
      };
      try {
        await body({ under, reopen });
      } finally {
        await current?.close();
        await under.remove();
      }
    },
  };
}

/** What every `LogStorage` must do. Run it with `runContract`. */
export const storageContract: readonly ContractCase<StorageUnderTest>[] = [
  check('a new store is empty and starts at index 1', async ({ reopen }) => {
    const { recovered } = await reopen();
    assert.deepEqual(recovered.hardState, { term: 0, vote: 0, commit: 0 });
    assert.equal(recovered.snapshot.index, 0);
    assert.deepEqual(recovered.entries, []);
    assert.equal(recovered.firstIndex, 1);
  }),

  check('a written log is found again, byte for byte', async ({ reopen }) => {
    const { storage } = await reopen();
    const odd = createEntry(2, 3, EntryKind.ConfChange, Uint8Array.of(0, 255, 128));
    const empty = createEntry(3, 3, EntryKind.Normal, new Uint8Array());
    await storage.persist(
      write({ hardState: { ...BALLOT, commit: 1 }, entries: [entry(1, 3), odd, empty] }),
    );
    const { recovered } = await reopen();
    assert.deepEqual(recovered.hardState, { term: 3, vote: 2, commit: 1 });
    assert.equal(shape(recovered), '1/3 2/3 3/3');
    assert.equal(recovered.entries[1]!.kind, EntryKind.ConfChange);
    assert.deepEqual([...recovered.entries[1]!.data], [0, 255, 128]);
    assert.equal(recovered.entries[2]!.data.length, 0);
  }),

  check('numbers up to 2^53-1 survive', async ({ reopen }) => {
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
    assert.deepEqual(recovered.hardState, { term, vote: 2 ** 33 + 1, commit: index });
    assert.equal(shape(recovered), `${index + 1}/${term}`);
  }),

  check('term and vote without entries are kept', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT }));
    assert.deepEqual((await reopen()).recovered.hardState, BALLOT);
  }),

  check('a write without hard state keeps the previous one', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT }));
    await storage.persist(write({ entries: entries(1, 2, 3) }));
    assert.deepEqual((await reopen()).recovered.hardState, BALLOT);
  }),

  check('entries replace a conflicting tail', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 5, 1) }));
    await storage.persist(write({ entries: entries(3, 4, 2) }));
    assert.equal(shape((await reopen()).recovered), '1/1 2/1 3/2 4/2');
  }),

  check('the log continues after a restart', async ({ reopen }) => {
    const first = await reopen();
    await first.storage.persist(write({ entries: entries(1, 2, 1) }));
    const second = await reopen();
    await second.storage.persist(write({ entries: entries(2, 3, 2) }));
    assert.equal(shape((await reopen()).recovered), '1/1 2/2 3/2');
  }),

  check('a snapshot replaces the whole log', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 5, 1) }));
    const snapshot = snapshotAt(10, 2);
    await storage.persist(
      write({ hardState: { term: 2, vote: 0, commit: 10 }, snapshot, entries: entries(11, 12, 2) }),
    );
    await storage.persist(write({ entries: entries(13, 13, 2) }));
    const { recovered } = await reopen();
    assert.deepEqual(recovered.snapshot, snapshot);
    assert.equal(recovered.firstIndex, 11);
    assert.equal(shape(recovered), '11/2 12/2 13/2');
    assert.equal(recovered.hardState.commit, 10);
  }),

  check('a snapshot below the end of the log drops the rest', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 5, 1) }));
    await storage.persist(write({ snapshot: snapshotAt(3, 2) }));
    const { recovered } = await reopen();
    assert.equal(recovered.snapshot.index, 3);
    assert.equal(shape(recovered), '');
  }),

  check('compaction drops entries and keeps hard state', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 3, 3) }));
    await storage.persist(
      write({ hardState: { ...BALLOT, commit: 3 }, entries: entries(4, 5, 3) }),
    );
    await storage.compact(snapshotAt(3, 3));
    const { recovered } = await reopen();
    assert.deepEqual(recovered.snapshot, snapshotAt(3, 3));
    assert.equal(recovered.firstIndex, 4);
    assert.equal(shape(recovered), '4/3 5/3');
    assert.deepEqual(recovered.hardState, { ...BALLOT, commit: 3 });
  }),

  check('compaction in the middle of one write keeps its rest', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 9, 1) }));
    await storage.persist(write({ entries: entries(8, 8, 2) }));
    await storage.compact(snapshotAt(6, 1));
    assert.equal(shape((await reopen()).recovered), '7/1 8/2');
  }),

  check('the whole log can be compacted and continues', async ({ reopen }) => {
    const first = await reopen();
    await first.storage.persist(write({ hardState: BALLOT, entries: entries(1, 4, 3) }));
    await first.storage.compact(snapshotAt(4, 3));
    const second = await reopen();
    assert.deepEqual(second.recovered.hardState, { ...BALLOT, commit: 4 });
    assert.equal(second.recovered.firstIndex, 5);
    await second.storage.persist(write({ entries: entries(5, 6, 4) }));
    assert.equal(shape((await reopen()).recovered), '5/4 6/4');
  }),

  check('compaction to where the log starts does nothing', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 4, 1) }));
    await storage.compact(snapshotAt(2, 1));
    await storage.compact(snapshotAt(2, 1));
    await storage.compact(snapshotAt(1, 1));
    assert.equal(shape((await reopen()).recovered), '3/1 4/1');
  }),

  check('compaction may run while a write is under way', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 10, 1) }));
    for (let index = 1; index < 10; index++) {
      await Promise.all([
        storage.persist(write({ entries: entries(10 + index, 10 + index, 1) })),
        storage.compact(snapshotAt(index, 1)),
      ]);
    }
    const { recovered } = await reopen();
    assert.equal(recovered.firstIndex, 10);
    assert.equal(recovered.entries.length, 10);
    assert.equal(recovered.entries.at(-1)!.index, 19);
  }),

  check('a snapshot and a compaction at once leave the snapshot', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 10, 1) }));
    await Promise.all([
      storage.compact(snapshotAt(5, 1)),
      storage.persist(write({ snapshot: snapshotAt(20, 2) })),
    ]);
    const { recovered } = await reopen();
    assert.equal(recovered.snapshot.index, 20);
    assert.equal(shape(recovered), '');
  }),

  check('a compaction that comes after a newer snapshot changes nothing', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 10, 1) }));
    // Compacts while the snapshot is being written, and again when it is durable.
    await Promise.all([
      storage.persist(write({ snapshot: snapshotAt(20, 2) })),
      storage.compact(snapshotAt(5, 1)),
    ]);
    await storage.compact(snapshotAt(7, 1));
    await storage.persist(write({ entries: entries(21, 22, 2) }));
    const { recovered } = await reopen();
    assert.equal(recovered.snapshot.index, 20);
    assert.equal(shape(recovered), '21/2 22/2');
  }),

  check('unsynced writes are read back when nothing crashed', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 3, 3) }));
    const committed = { ...BALLOT, commit: 2 };
    await storage.persist(write({ hardState: committed, mustSync: false }));
    assert.deepEqual((await reopen()).recovered.hardState, committed);
  }),

  check('a synced write makes the unsynced ones before it last', async ({ under, reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await storage.persist(write({ entries: entries(2, 4, 2), mustSync: false }));
    await storage.persist(write({ entries: entries(4, 4, 3) }));
    await under.crash();
    assert.equal(shape((await reopen()).recovered), '1/1 2/2 3/2 4/3');
  }),

  check('a synced write survives a crash', async ({ under, reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 2, 1) }));
    await under.crash();
    const { recovered } = await reopen();
    assert.equal(shape(recovered), '1/1 2/1');
    assert.deepEqual(recovered.hardState, BALLOT);
  }),

  check('a compaction survives a crash', async ({ under, reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ hardState: BALLOT, entries: entries(1, 2, 1) }));
    await storage.compact(snapshotAt(1, 1));
    await under.crash();
    const { recovered } = await reopen();
    assert.equal(shape(recovered), '2/1');
    assert.equal(recovered.hardState.vote, 2);
  }),

  check('random histories with crashes read back as a model says', async ({ under, reopen }) => {
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const random = generator(seed);
      const model = new LogModel((await reopen()).recovered);
      for (let life = 0; life < 4; life++) {
        const { storage, recovered } = await reopen();
        assert.ok(model.allows(recovered), `seed ${seed}: ${shape(recovered)} not in ${model}`);
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
  }),

  check('a hole in the log is refused before it is written', async ({ reopen }) => {
    const { storage } = await reopen();
    await storage.persist(write({ entries: entries(1, 2, 1) }));
    await assert.rejects(storage.persist(write({ entries: entries(4, 4, 1) })));
    assert.equal(shape((await reopen()).recovered), '1/1 2/1');
  }),

  check('a second write while one is under way is refused', async ({ reopen }) => {
    const { storage } = await reopen();
    const first = storage.persist(write({ entries: entries(1, 1, 1) }));
    await assert.rejects(storage.persist(write({ entries: entries(2, 2, 1) })));
    await first;
  }),
];
