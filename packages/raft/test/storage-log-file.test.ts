import test from 'ava';
import { encodeBatch, frame } from '@swarm/sim';
import { crc32c } from '../src/storage/crc32c.js';
import { recordKey } from '../src/storage/keys.js';
import { inspectLogFile } from '../src/storage/leveldb-log-file.js';
import { databaseFile, Stores } from './contract/store-fixture.js';
import { readFile } from 'node:fs/promises';
import { entry, write } from '../src/contract/sample-log.js';

test('the checksum is the one of RFC 3720, appendix B.4', (t) => {
  t.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  t.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  t.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
});

test('records over several blocks are read in order', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path);
    await storage.open();
    // Up to three blocks of 32 KiB each, so that pieces of all kinds occur.
    for (let index = 1; index <= 12; index++) {
      await storage.persist(write({ entries: [entry(index, 1, 'x'.repeat(index * 8_000))] }));
    }
    const report = inspectLogFile(await readFile(await databaseFile(path, '.log')));
    t.deepEqual(report.faults, []);
    t.deepEqual(
      report.before,
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });
});

test('a file cut anywhere is torn, never damaged, and keeps its complete records', async (t) => {
  await Stores.use(async (stores) => {
    const path = stores.newPath();
    const storage = stores.storage(path);
    await storage.open();
    for (let index = 1; index <= 6; index++) {
      await storage.persist(write({ entries: [entry(index, 1, 'x'.repeat(9_000))] }));
    }
    const file = await readFile(await databaseFile(path, '.log'));
    for (let end = 0; end < file.length; end += 97) {
      const { faults, before, after } = inspectLogFile(file.subarray(0, end));
      t.true(
        faults.every(({ kind }) => kind === 'torn'),
        `cut at ${end}`,
      );
      t.deepEqual(
        before,
        Array.from({ length: before.length }, (_, i) => i + 1),
      );
      t.deepEqual(after, []);
    }
  });
});

test('a write with any sectors missing is torn, never damaged, wherever it begins', (t) => {
  const sectorBytes = 512;
  for (let length = 300; length < 300 + sectorBytes; length++) {
    // Small numbers, like most of a record's: read as a length they stay within the file.
    const fill = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => 1 + (i % 2));
    const first = frame(
      encodeBatch({ sequence: 1, operations: [[recordKey(1), fill(length)]] }),
      0,
    );
    const operations = [[recordKey(2), fill(1_400)]] as const;
    const second = frame(encodeBatch({ sequence: 2, operations }), first.length);
    const whole = Buffer.concat([first, second]);
    const starts: number[] = [];
    for (let at = first.length; at < whole.length; at += sectorBytes - (at % sectorBytes)) {
      starts.push(at);
    }
    for (let missing = 1; missing < 1 << starts.length; missing++) {
      const file = Buffer.from(whole);
      for (const [i, start] of starts.entries()) {
        const end = starts[i + 1] ?? file.length;
        if ((missing & (1 << i)) !== 0) file.fill(0, start, end);
      }
      const { faults, before, after } = inspectLogFile(file);
      const kinds = new Set(faults.map(({ kind }) => kind));
      t.deepEqual([...kinds], ['torn'], `begins at ${first.length}, missing ${missing}`);
      t.deepEqual([before, after], [[1], []]);
    }
  }
});
