import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { ConfChangeOp, encodeConfChange } from '../src/core/conf-change.js';
import { EntryKind } from '../src/core/types.js';
import { describeConfChange } from '../src/inspect/describe-change.js';
import { readLog } from '../src/inspect/read-log.js';
import { holderIn } from '../src/inspect/store-lock.js';
import { databaseFile, flipBit, Stores } from './contract/store-fixture.js';

async function filled(stores: Stores): Promise<string> {
  const path = stores.newPath();
  const storage = stores.storage(path);
  await storage.open();
  for (let index = 1; index <= 20; index++) {
    const data = new TextEncoder().encode(`entry ${index} `.repeat(10));
    await storage.persist({
      hardState: { term: 2, vote: 1, commit: index - 1 },
      entries: [{ index, term: 2, kind: EntryKind.Normal, data }],
      mustSync: true,
    });
  }
  await storage.close();
  return path;
}

test('a whole log is read without changing a byte of it', async (t) => {
  await Stores.use(async (stores) => {
    const path = await filled(stores);
    const contents = async () =>
      Promise.all(
        (await readdir(join(path, 'log'))).map(async (name) => [
          name,
          (await readFile(join(path, 'log', name))).toString('hex'),
        ]),
      );
    const before = await contents();
    const report = await readLog(path);
    t.deepEqual(report.problems, []);
    t.is(report.identity?.memberId, 1);
    t.deepEqual(report.hardState, { term: 2, vote: 1, commit: 19 });
    t.is(report.entries.length, 20);
    t.deepEqual([report.firstSequence, report.lastSequence, report.records], [1, 20, 20]);
    t.deepEqual(await contents(), before);
  });
});

test('a log in use is refused, naming the process', async (t) => {
  await Stores.use(async (stores) => {
    const path = await filled(stores);
    await stores.storage(path).open();
    const error = await t.throwsAsync(readLog(path), { code: 'RAFT_STORAGE_LOCKED' });
    t.true(error.message.includes(`process ${process.pid}`), error.message);
  });
});

test('damage is named, and everything before it is still read', async (t) => {
  await Stores.use(async (stores) => {
    const path = await filled(stores);
    await flipBit(await databaseFile(path, '.log'), 900);
    const report = await readLog(path);
    t.true(report.problems.length > 0);
    t.true(report.entries.length < 20);
    // A repeated read gives the same: a start of the member would find it too.
    t.deepEqual((await readLog(path)).problems.length, report.problems.length);
    await t.throwsAsync(stores.storage(path).open(), { code: 'RAFT_STORAGE_CORRUPT' });
  });
});

test('a missing database and a missing identity are problems, not errors', async (t) => {
  await Stores.use(async (stores) => {
    const report = await readLog(stores.newPath());
    t.deepEqual(report.problems, ['the identity file is missing', 'the database is missing']);
  });
});

test("the kernel's list of locks names who holds a file", (t) => {
  const locks = [
    '1: FLOCK  ADVISORY  WRITE 300 fd:00:77 0 EOF',
    '2: POSIX  ADVISORY  READ 301 fd:00:42 0 EOF',
    '3: POSIX  ADVISORY  WRITE 302 fd:00:42 0 EOF',
  ].join('\n');
  t.is(holderIn(locks, 42), 302);
  t.is(holderIn(locks, 4), undefined);
});

test('a membership change is described in words', (t) => {
  const info = { id: 5, address: '198.18.0.5:2377', nodeId: 'abc' };
  const data = encodeConfChange({
    changes: [
      { op: ConfChangeOp.AddVoter, id: 5, info },
      { op: ConfChangeOp.Remove, id: 6 },
    ],
  });
  t.is(describeConfChange({ data }), 'voter 5 (198.18.0.5:2377, node abc); remove 6');
  t.is(
    describeConfChange({ data: encodeConfChange({ changes: [] }) }),
    'leave the joint configuration',
  );
});
