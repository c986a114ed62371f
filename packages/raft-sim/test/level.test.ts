import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelStorage } from '@swarm/raft';
import { runContract, storageContract } from '@swarm/raft/contract';
import { type Database, inspectLogFile, openLevelDatabase } from '@swarm/raft/internals';
import { type DatabaseOperation, Prng, readBatches } from '@swarm/sim';
import test from 'ava';
import { contents, databaseContract, key, value, WRITE_BUFFER_BYTES } from './database-contract.js';
import { copyStore, entry, withFolder, write, writeAheadFile } from './real-store.js';
import { SimulatedDisk } from './simulated-disk.js';

databaseContract(test, 'level', async () => {
  const root = await mkdtemp(join(tmpdir(), 'raft-database-'));
  return {
    open: openLevelDatabase,
    folder: join(root, 'log'),
    remove: () => rm(root, { recursive: true }),
  };
});

databaseContract(test, 'simulated level', async () => {
  const disk = new SimulatedDisk();
  return { open: disk.openDatabase, folder: '/log', remove: async () => {} };
});

for (const power of ['kept', 'cut'] as const) {
  runContract(test, `simulated level, power ${power}`, storageContract, async () => {
    const disk = new SimulatedDisk();
    return {
      create: () => disk.storage(),
      crash: () => disk.crash(power),
      remove: async () => {},
    };
  });
}

/** Writes of all sizes, the last ones over several blocks. */
function operations(prng: Prng, round: number): DatabaseOperation[] {
  const length = prng.pick([1, 100, 127, 128, 4_000, 20_000, 70_000]);
  const all: DatabaseOperation[] = [[key(round), value(round, length)]];
  if (round > 3 && prng.below(3) === 0) all.push([key(round - 3)]);
  return all;
}

test('the simulated LevelDB writes the write-ahead file that LevelDB writes, byte for byte', async (t) => {
  await withFolder(async (path) => {
    const disk = new SimulatedDisk();
    const options = { createIfMissing: true, writeBufferBytes: 16 * 1024 * 1024 };
    const prng = new Prng(1, 'operations');
    let round = 0;
    for (let opening = 0; opening < 3; opening++) {
      const real = await openLevelDatabase(join(path, 'log'), options);
      const simulated = await disk.openDatabase('/log', options);
      for (let i = 0; i < 40; i++) {
        const batch = operations(prng, ++round);
        await real.write(batch, { sync: false });
        await simulated.write(batch, { sync: true });
      }
      t.deepEqual(await contents(simulated), await contents(real));
      await real.close();
      await simulated.close();
      const file = await readFile(await writeAheadFile(path));
      const names = [...disk.files.folder('/log').now.keys()].filter((n) => n.endsWith('.log'));
      t.is(names.length, 1);
      const bytes = disk.files.bytes(`/log/${names[0]}`)!.bytes;
      t.true(Buffer.from(bytes).equals(file), `opening ${opening}`);
      t.deepEqual(inspectLogFile(bytes), inspectLogFile(file));
    }
  });
});

/** Keys that LevelDB still has, and how often it complained. */
async function opened(path: string): Promise<{ rows: string[]; complaints: number }> {
  const database: Database = await openLevelDatabase(join(path, 'log'), {
    createIfMissing: false,
    writeBufferBytes: WRITE_BUFFER_BYTES * 100,
  });
  try {
    const rows = await contents(database);
    const text = await readFile(join(path, 'log', 'LOG'), 'utf8');
    return { rows, complaints: text.split('\n').filter((line) => /dropping/.test(line)).length };
  } finally {
    await database.close();
  }
}

test('the simulated LevelDB drops from a damaged write-ahead file what LevelDB drops, and complains as often', async (t) => {
  await withFolder(async (folder) => {
    const path = join(folder, 'store');
    const storage = new LevelStorage({ path, clusterId: 'cluster', memberId: 1 });
    await storage.open();
    for (let index = 1; index <= 25; index++) {
      await storage.persist(write({ entries: [entry(index, 1, 'x'.repeat(index * 400))] }));
    }
    const whole = await readFile(await writeAheadFile(path));
    const prng = new Prng(3, 'damage');
    for (let round = 0; round < 60; round++) {
      const copy = join(folder, `copy-${round}`);
      await copyStore(path, copy);
      let bytes = Buffer.from(whole);
      const at = prng.below(bytes.length);
      if (round % 3 === 0) bytes[at]! ^= 1 << prng.below(8);
      else if (round % 3 === 1) bytes.fill(0, at, at + prng.between(1, 3_000));
      else bytes = bytes.subarray(0, at);
      await writeFile(await writeAheadFile(copy), bytes);
      const rows = new Map<string, string>();
      let complaints = 0;
      for (const { operations: changes } of readBatches(bytes, () => complaints++)) {
        for (const [name, data] of changes) {
          const text = Buffer.from(data!).toString('latin1');
          rows.set(Buffer.from(name).toString('hex'), text);
        }
      }
      const mine = [...rows].sort().map(([name, data]) => `${name}=${data}`);
      const real = await opened(copy);
      t.deepEqual(mine, real.rows, `round ${round}`);
      t.is(complaints, real.complaints, `round ${round}`);
    }
  });
});

/**
 * Opens and writes, and dies at the step of that number. @returns how many entries were
 * acknowledged
 */
async function liveUntil(disk: SimulatedDisk, steps: number, last: number): Promise<number> {
  let left = steps;
  let acknowledged = last;
  const died = new Promise<void>((resolve, reject) => {
    disk.onStep = () => {
      if (--left > 0) return;
      disk.onStep = () => undefined;
      disk.crash('cut').then(resolve, reject);
    };
  });
  const work = async (): Promise<void> => {
    const storage = disk.storage(500);
    acknowledged = (await storage.open()).entries.length;
    for (;;) {
      const index = acknowledged + 1;
      await storage.persist(write({ entries: [entry(index, 1, 'x'.repeat(100))] }));
      acknowledged = index;
      await storage.persist(
        write({ hardState: { term: 1, vote: 1, commit: index }, mustSync: false }),
      );
    }
  };
  await Promise.race([work(), died]);
  return acknowledged;
}

test('synced writes survive a power cut at each step, of the first opening and of later ones', async (t) => {
  const disks = 150;
  for (let seed = 1; seed <= disks; seed++) {
    const disk = new SimulatedDisk(seed);
    const prng = new Prng(seed, 'lives');
    let last = 0;
    for (let life = 0; life < 6; life++) {
      last = await liveUntil(disk, life === 0 ? seed : prng.between(1, disks), last);
      const storage = disk.storage(500);
      const found = (await storage.open()).entries.length;
      t.true(found === last || found === last + 1, `seed ${seed}: ${found}, not ${last}`);
      last = found;
      await disk.crash('kept');
    }
  }
});
