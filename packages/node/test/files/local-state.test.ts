import { readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ShapeError } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { type LocalState, LocalStateFile } from '../../src/files/local-state.js';
import { folderOf } from '../support/folder.js';

const STATE: LocalState = {
  clusterId: 'c1',
  nodeId: 'n1',
  advertiseAddress: '[fd00::1]:2377',
  listen: { host: '0.0.0.0', port: 2377 },
  dataPathAddress: '198.18.0.1',
  dataPathPort: 4789,
  raftId: 2 ** 48 - 1,
  raftJoined: false,
  managers: [{ nodeId: '', address: 'manager.example:2377' }],
};

test('what is saved is loaded', async (t) => {
  const file = new LocalStateFile(folderOf(t));
  t.is(await file.load(), undefined);
  const { raftId: _id, raftJoined: _joined, ...worker } = STATE;
  for (const state of [STATE, worker, { ...worker, listen: { host: 'fe80::1%eth0', port: 1 } }]) {
    await file.save(state);
    t.deepEqual(await file.load(), state);
  }
});

test('the file is private to its user, whatever the umask', async (t) => {
  const folder = folderOf(t);
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  await new LocalStateFile(join(folder, 'data')).save(STATE);
  t.is(statSync(join(folder, 'data')).mode & 0o777, 0o700);
  t.is(statSync(join(folder, 'data', 'node.json')).mode & 0o777, 0o600);
});

const DAMAGE: Readonly<Record<string, unknown>> = {
  nodeId: '../../etc',
  clusterId: 7,
  advertiseAddress: 'x\n:1',
  listen: { host: 'name', port: 1 },
  dataPathAddress: '198.18.0.1\nlink del eth0',
  dataPathPort: 65_536,
  raftId: 0,
  raftJoined: 'yes',
  managers: {},
};

for (const [field, value] of Object.entries(DAMAGE)) {
  test(`a state with a bad ${field} is reported, and never saved`, async (t) => {
    const folder = folderOf(t);
    const file = new LocalStateFile(folder);
    const bad = { ...STATE, [field]: value };
    await t.throwsAsync(file.save(bad as never), { instanceOf: ShapeError });
    t.deepEqual(readdirSync(folder), []);
    writeFileSync(join(folder, 'node.json'), JSON.stringify(bad));
    await t.throwsAsync(file.load(), {
      message: new RegExp(`node\\.json is damaged \\(${field}.*remove the data folder`),
    });
  });
}

test('any file gives a state or an error that names it', async (t) => {
  const folder = folderOf(t);
  const file = new LocalStateFile(folder);
  const path = join(folder, 'node.json');
  const parts = fc.record(
    Object.fromEntries(Object.keys(STATE).map((key) => [key, fc.jsonValue()])),
    { requiredKeys: [] },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.jsonValue().map((value) => JSON.stringify(value)),
        parts.map((change) => JSON.stringify({ ...STATE, ...change })),
      ),
      async (text) => {
        writeFileSync(path, text);
        try {
          await file.save((await file.load())!);
        } catch (error) {
          t.true((error as Error).message.startsWith(`${path} is damaged (`));
        }
      },
    ),
    { numRuns: 300 },
  );
});

test('a link in its place is not followed', async (t) => {
  const folder = folderOf(t);
  const other = join(folder, 'other');
  writeFileSync(other, JSON.stringify(STATE));
  symlinkSync(other, join(folder, 'node.json'));
  await t.throwsAsync(new LocalStateFile(folder).load(), { message: /symbolic link/ });
});
