import type { ExecutionContext, TestFn } from 'ava';
import type { Database, OpenDatabase } from '@swarm/raft/internals';
import { type DatabaseOperation, Prng } from '@swarm/sim';

/** How to open a database under test, and where. */
export interface DatabaseUnderTest {
  readonly open: OpenDatabase;
  /** A folder without a database. */
  readonly folder: string;
  remove(): Promise<void>;
}

/** The smallest that LevelDB accepts. */
export const WRITE_BUFFER_BYTES = 64 * 1024;

export function key(number: number): Uint8Array {
  const bytes = Buffer.alloc(9, 0x77);
  bytes.writeBigUInt64BE(BigInt(number), 1);
  return bytes;
}

export function value(number: number, length = 20): Uint8Array {
  return Buffer.alloc(length, `${number}.`);
}

const ALL = [Uint8Array.of(0), Uint8Array.of(0xff)] as const;

/** All keys and values, as text. */
export async function contents(
  database: Database,
  [from, to]: readonly [Uint8Array, Uint8Array] = ALL,
): Promise<string[]> {
  const rows: string[] = [];
  for await (const [name, data] of database.read(from, to)) {
    rows.push(`${Buffer.from(name).toString('hex')}=${Buffer.from(data).toString('latin1')}`);
  }
  return rows;
}

/** What the log relies on in LevelDB; the simulated one must do the same. */
export function databaseContract(
  test: TestFn,
  name: string,
  setup: () => Promise<DatabaseUnderTest>,
): void {
  const check = (
    title: string,
    body: (
      t: ExecutionContext,
      open: (createIfMissing?: boolean) => Promise<Database>,
      under: DatabaseUnderTest,
    ) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async (t) => {
      const under = await setup();
      let current: Database | undefined;
      try {
        const open = async (createIfMissing = true): Promise<Database> => {
          await current?.close();
          current = undefined;
          const options = { createIfMissing, writeBufferBytes: WRITE_BUFFER_BYTES };
          current = await under.open(under.folder, options);
          return current;
        };
        await body(t, open, under);
      } finally {
        await current?.close();
        await under.remove();
      }
    });
  };

  check('a missing database is not created unasked', async (t, open) => {
    await t.throwsAsync(open(false), { message: /does not exist/ });
    await open();
    await t.notThrowsAsync(open(false));
  });

  check('an open database is not opened again', async (t, open, under) => {
    await open();
    const options = { createIfMissing: true, writeBufferBytes: WRITE_BUFFER_BYTES };
    await t.throwsAsync(under.open(under.folder, options), { code: 'LEVEL_LOCKED' });
    await t.notThrowsAsync(open());
  });

  check('a write puts, replaces and deletes, all together', async (t, open) => {
    const database = await open();
    await database.write([[key(1), value(1)]], { sync: true });
    await database.write([[key(2), value(2)], [key(1)], [key(3), new Uint8Array()]], {
      sync: false,
    });
    await database.write([[key(2), value(22)]], { sync: true });
    for (const again of [() => Promise.resolve(database), open]) {
      const current = await again();
      t.is(await current.get(key(1)), undefined);
      t.deepEqual(Buffer.from((await current.get(key(2)))!), Buffer.from(value(22)));
      t.is((await current.get(key(3)))!.length, 0);
    }
  });

  check(
    'keys are read in the order of their bytes, from the first to before the last',
    async (t, open) => {
      const database = await open();
      for (const number of [300, 2, 255, 256, 1]) {
        await database.write([[key(number), value(number)]], { sync: false });
      }
      const found = await contents(database, [key(2), key(300)]);
      t.deepEqual(
        found.map((row) => row.split('=')[1]!.slice(0, 3)),
        ['2.2', '255', '256'],
      );
    },
  );

  check('nothing changes when write-ahead files fill up and tables are made', async (t, open) => {
    let database = await open();
    const model = new Map<number, number>();
    const prng = new Prng(7, 'contract');
    for (let round = 1; round <= 400; round++) {
      const operations: DatabaseOperation[] = [];
      for (let i = prng.between(1, 4); i > 0; i--) {
        const number = prng.below(60);
        if (prng.below(3) === 0) {
          operations.push([key(number)]);
          model.delete(number);
        } else {
          operations.push([key(number), value(round, 1_000)]);
          model.set(number, round);
        }
      }
      await database.write(operations, { sync: prng.below(20) === 0 });
      if (round % 90 === 0) database = await open();
      if (round % 150 === 0) await database.reclaim(key(0), key(60));
    }
    const wanted = [...model]
      .sort(([a], [b]) => a - b)
      .map(
        ([number, round]) =>
          `${Buffer.from(key(number)).toString('hex')}=` +
          Buffer.from(value(round, 1_000)).toString('latin1'),
      );
    t.deepEqual(await contents(database), wanted);
    t.deepEqual(await contents(await open()), wanted);
  });
}
