import { readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configShape, type Logger, shape, silentLogger } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import { Level } from 'level';
import { pack } from 'msgpackr';
import { DamagedFileError, readJsonFile } from '../src/storage/json-file.js';
import { managersFile } from '../src/storage/managers-file.js';
import { AgentDatabase } from '../src/storage/agent-database.js';
import { ownerOf } from '../src/runtime/docker/owner.js';
import { makeTask } from './support/make-task.js';
import { makeFolder } from './support/real.js';

const TASK = makeTask('task1');
const GOOD = { task: TASK, status: TASK.Status };
const PEER = { nodeId: 'node1', index: 1, address: '198.18.0.1', subnet: '10.240.1.0/24' };

function folderOf(t: { teardown(undo: () => void): void }): string {
  const folder = makeFolder();
  t.teardown(() => folder.remove());
  return folder.path;
}

async function write(folder: string, records: Readonly<Record<string, Uint8Array>>) {
  const db = new Level<string, Uint8Array>(folder, { keyEncoding: 'utf8', valueEncoding: 'view' });
  for (const [key, value] of Object.entries(records)) await db.put(key, value);
  await db.close();
}

/** What the store in a folder gives, and what it set aside. */
async function load(folder: string) {
  const aside: string[] = [];
  const store = new AgentDatabase(folder, {
    notWritten: (error) => aside.push(`not written: ${error}`),
    setAside: (what, reason) => aside.push(`${what}: ${reason}`),
  });
  const { tasks, mesh } = await store.load(new Map([['config', configShape]]));
  await store.close();
  return { tasks, mesh, aside };
}

test('A record that is not a task is named and dropped, the others are read', async (t) => {
  const folder = join(folderOf(t), 'tasks');
  const bad = { ...GOOD, task: { ...TASK, ID: '../../etc' } };
  await write(folder, {
    'task/task1': pack(GOOD),
    'task/../../etc': pack(bad),
    'task/other': pack(GOOD),
    'task/big': pack({ ...GOOD, task: { ...TASK, ID: 'big', Slot: 2n ** 60n } }),
    'task/state': pack({ ...GOOD, status: { ...TASK.Status, State: 'dancing' } }),
    'task/cut': pack(GOOD).subarray(0, 20),
    mesh: pack({ self: { ...PEER, address: '198.18.0.1\nlink del eth0' } }),
  });
  const { tasks, mesh, aside } = await load(folder);
  t.deepEqual(tasks, [GOOD]);
  t.is(mesh, undefined);
  t.is(aside.length, 6);
  t.regex(aside.join('\n'), /task\/other: it is of task task1/);
  t.regex(aside.join('\n'), /mesh: self\.address/);
  t.deepEqual((await load(folder)).aside, [], 'they are gone');
});

test('A mesh is stored piece by piece, and a damaged piece leaves the node its place alone', async (t) => {
  const folder = join(folderOf(t), 'tasks');
  const port = (publishedPort: number) =>
    ({ protocol: 'tcp', publishedPort, serviceId: 's', endpoints: [] }) as const;
  const state = { generation: 4, peers: [PEER], ports: [port(80), port(81)] };
  const ingress = { subnet: '10.11.0.0/16', mtuBytes: 1300 };
  await write(folder, { mesh: pack({ self: PEER, state: { ...state, generation: 3 } }) });
  t.is((await load(folder)).mesh?.state?.generation, 3, 'of an earlier version');

  const store = new AgentDatabase(folder, { notWritten() {}, setAside() {} });
  await store.load(new Map());
  store.putMesh({ self: PEER, state });
  store.changeMesh(PEER, {
    ...{ base: 4, generation: 5, ingress, peers: [], removedPeers: [] },
    ...{ ports: [port(82)], removedPorts: [port(80)] },
  });
  await store.close();
  const { mesh, aside } = await load(folder);
  t.deepEqual(aside, []);
  t.deepEqual(mesh, {
    self: PEER,
    state: { generation: 5, ingress, peers: [PEER], ports: [port(81), port(82)] },
  });

  const again = new AgentDatabase(folder, { notWritten() {}, setAside() {} });
  await again.load(new Map());
  again.putMesh({ self: PEER, state: { ...state, ingress } });
  await again.close();
  t.deepEqual((await load(folder)).mesh?.state?.ingress, ingress);

  await write(folder, { 'mesh/port/tcp/82': Uint8Array.of(0x81) });
  t.deepEqual((await load(folder)).mesh, { self: PEER });
});

test('Whatever bytes a record has, the store opens', async (t) => {
  const folder = join(folderOf(t), 'tasks');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }),
      async (values) => {
        const keys = values.map((value, at) => [at === 0 ? 'mesh' : `task/t${at}`, value] as const);
        await write(folder, { ...Object.fromEntries(keys), 'task/task1': pack(GOOD) });
        const { tasks } = await load(folder);
        t.deepEqual(tasks, [GOOD]);
      },
    ),
    { numRuns: 20 },
  );
});

test('A damaged database is replaced, and the log says so', async (t) => {
  const folder = join(folderOf(t), 'tasks');
  await write(folder, { 'task/task1': pack(GOOD) });
  const current = readdirSync(folder).find((name) => name.startsWith('MANIFEST'))!;
  writeFileSync(join(folder, current), Buffer.alloc(100, 0xff));
  const { tasks, aside } = await load(folder);
  t.deepEqual(tasks, []);
  t.is(aside.length, 1);
  t.true(aside[0]!.startsWith(folder));
  t.deepEqual(await load(folder), { tasks: [], mesh: undefined, aside: [] });
});

test('A damaged managers file is reported and ignored; one bad address among good ones is skipped', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'managers.json');
  const told: string[] = [];
  const logger: Pick<Logger, 'warn'> = {
    warn: (fields, message) => void told.push(`${message} ${JSON.stringify(fields)}`),
  };
  const store = managersFile(path, logger);
  for (const text of ['garbage', '{}', 'null', '7', '"x"', 'x'.repeat(300_000)]) {
    writeFileSync(path, text);
    t.deepEqual(await store.load(), [], text.slice(0, 10));
    t.regex(told.pop()!, /managers\.json is damaged/);
  }
  const good = { nodeId: '', address: '198.18.0.1:2377' };
  const bad = [{ nodeId: 'a/b', address: good.address }, { nodeId: '', address: 'x y' }, 7, null];
  writeFileSync(path, JSON.stringify([...bad, good]));
  t.deepEqual(await store.load(), [good]);
  t.deepEqual(told, []);
});

test('The managers file belongs to the user alone', async (t) => {
  const folder = folderOf(t);
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  await managersFile(join(folder, 'worker', 'managers.json'), silentLogger).save([]);
  t.is(statSync(join(folder, 'worker')).mode & 0o777, 0o700);
  t.is(statSync(join(folder, 'worker', 'managers.json')).mode & 0o777, 0o600);
});

test('A file of state is read only where it is a small regular file', async (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'file');
  t.is(await readJsonFile(path, shape.count, 10), undefined);
  writeFileSync(path, '7');
  t.is(await readJsonFile(path, shape.count, 10), 7);
  symlinkSync(path, join(folder, 'link'));
  const damaged = { instanceOf: DamagedFileError };
  await t.throwsAsync(readJsonFile(join(folder, 'link'), shape.count, 10), {
    ...damaged,
    message: /link is damaged \(it is a symbolic link\)/,
  });
  await t.throwsAsync(readJsonFile(folder, shape.count, 10), damaged);
  writeFileSync(path, '7'.repeat(11));
  await t.throwsAsync(readJsonFile(path, shape.count, 10), { ...damaged, message: /11 bytes/ });
});

test('A damaged mark of containers is an error, and is not replaced', (t) => {
  const folder = folderOf(t);
  const mark = ownerOf(folder, Math.random);
  t.is(ownerOf(folder, Math.random), mark);
  writeFileSync(join(folder, 'owner'), 'a\u001b[2J');
  t.throws(() => ownerOf(folder, Math.random), { message: /owner is damaged.*swarm\.owner/ });
});
