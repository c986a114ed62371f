import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  type AssignmentChange,
  type Config,
  configShape,
  type Network,
  type Secret,
  silentLogger,
  type Task,
} from '@swarm/api';
import test from 'ava';
import { WebSocket } from 'ws';
import { until } from '@swarm/sim';
import type { AssignedStore } from '../src/agent/assigned-store.js';
import { AssignmentFollower } from '../src/agent/assignment-follower.js';
import { OBJECT_KINDS } from '../src/agent/object-kinds.js';
import { ObjectStore } from '../src/agent/object-store.js';
import { TaskNeeds } from '../src/agent/task-needs.js';
import { agentDatabase } from '../src/storage/agent-database.js';
import { assigning, open } from './support/agent-bench.js';
import { makeTask } from './support/make-task.js';
import { putTask, type ScriptedManager } from './support/scripted-manager.js';

const AT = '2026-01-01T00:00:00.000Z';
const META = { Version: { Index: 1 }, CreatedAt: AT, UpdatedAt: AT };
const FILE = { Name: 'x', UID: '0', GID: '0', Mode: 0o444 };
const SECRET_DATA = Buffer.from('correct horse battery staple').toString('base64');
const CONFIG_DATA = Buffer.from('listen 80; server_name example').toString('base64');

const secret: Secret = {
  ID: 'secret1',
  ...META,
  Spec: { Name: 'password', Labels: {}, Data: SECRET_DATA },
};
const config: Config = {
  ID: 'config1',
  ...META,
  Spec: { Name: 'site', Labels: {}, Data: CONFIG_DATA },
};
const network: Network = {
  ID: 'net1',
  ...META,
  Spec: {
    Name: 'front',
    Labels: {},
    Driver: 'overlay',
    DriverOpts: {},
    Internal: false,
    Attachable: false,
    Ingress: false,
    IPv6Enabled: false,
    Scope: 'swarm',
  },
  Subnets: [],
  VNI: 4097,
};
const putSecret: AssignmentChange = { kind: 'secret', action: 'put', object: secret };
const putConfig: AssignmentChange = { kind: 'config', action: 'put', object: config };
const putNetwork: AssignmentChange = { kind: 'network', action: 'put', object: network };

/** A task that needs the secret and the config. */
function needy(id: string): Task {
  return makeTask(id, {
    container: {
      Secrets: [{ SecretID: secret.ID, SecretName: 'password', File: FILE }],
      Configs: [{ ConfigID: config.ID, ConfigName: 'site', File: FILE }],
    },
  });
}

/** Sends a complete set in each session. */
function giving(...changes: AssignmentChange[]) {
  return (manager: ScriptedManager): void => {
    manager.onHello = () => {
      manager.welcome();
      manager.change('complete', changes);
    };
  };
}

/** Files below a folder that hold one of the texts. */
function holding(folder: string, texts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name);
    if (!statSync(path).isFile()) return false;
    const bytes = readFileSync(path);
    return texts.some((text) => bytes.includes(text));
  });
}

test('A task gets what it needs, and nothing that others need', async (t) => {
  const other = makeTask('t2');
  const bench = await open(
    giving(putNetwork, putSecret, putConfig, putTask(needy('t1')), putTask(other)),
  );
  await bench.manager.untilStatus('t1', 'running');
  await bench.manager.untilStatus('t2', 'running');
  const seen = bench.runtime.objects.get('t1')!;
  t.deepEqual(seen.get('secret', 'secret1'), secret);
  t.deepEqual(seen.get('config', 'config1'), config);
  t.is(seen.get('network', 'net1'), undefined);
  t.is(bench.runtime.objects.get('t2')!.get('secret', 'secret1'), undefined);
  await until('the ack', () => bench.manager.all('assignments-ack').length === 1);
  t.is(bench.manager.all('assignments-ack')[0]?.resultsIn, 1);
  await bench.close();
});

test('No byte of a secret is in any file of the node, whatever happens to it', async (t) => {
  const bench = await open(giving(putSecret, putConfig, putTask(needy('t1'))));
  await bench.manager.untilStatus('t1', 'running');
  bench.manager.change('incremental', [
    { kind: 'secret', action: 'put', object: { ...secret, Version: { Index: 2 } } },
    putTask({ ...needy('t1'), Labels: { changed: 'yes' } }),
  ]);
  await until('the ack', () => bench.manager.all('assignments-ack').length === 2);
  await bench.agent.close();
  const forms = [SECRET_DATA, Buffer.from(SECRET_DATA, 'base64').toString()];
  t.deepEqual(holding(bench.folder, forms), []);
  // That the scan finds what is there shows the config, which is kept.
  t.not(holding(bench.folder, [CONFIG_DATA]).length, 0);
  await bench.restart();
  await until('a second session', () => bench.manager.hellos.length === 2);
  await bench.manager.untilStatus('t1', 'running');
  await bench.agent.close();
  t.deepEqual(holding(bench.folder, forms), []);
  await bench.close();
});

test('A task whose secret is not there waits for it, says so, and runs when it comes', async (t) => {
  const bench = await open(giving(putConfig, putTask(needy('t1')), putTask(makeTask('t2'))));
  await bench.manager.untilStatus('t2', 'running');
  const status = await bench.manager.untilStatus('t1', 'preparing');
  await until('the reason', () => /secret/.test(bench.manager.statuses.get('t1')!.Message));
  t.is(status.State, 'preparing');
  t.is(
    bench.manager.statuses.get('t1')?.Message,
    'waiting for secret password (secret1), which no manager has sent: if it was removed, update the service without it',
  );
  bench.manager.change('incremental', [
    { kind: 'secret', action: 'put', object: { ...secret, Spec: { Name: 7 } } as never },
  ]);
  await until('the problem', () =>
    /cannot read it .*Spec\.Name/.test(bench.manager.statuses.get('t1')!.Message),
  );
  bench.manager.change('incremental', [putSecret]);
  await bench.manager.untilStatus('t1', 'running');
  await bench.close();
});

test('A task that waits for a secret can be stopped', async (t) => {
  const bench = await open(giving(putTask(needy('t1'))));
  await until('it waits', () => /secret/.test(bench.manager.statuses.get('t1')?.Message ?? ''));
  bench.manager.assign([{ ...needy('t1'), DesiredState: 'shutdown' }]);
  await bench.manager.untilStatus('t1', 'shutdown');
  t.false(bench.runtime.calls.includes('prepare t1'));
  await bench.close();
});

test('After a restart secrets come again before tasks that wait start; a running task is not disturbed', async (t) => {
  const bench = await open(giving(putSecret, putConfig, putTask(needy('t1'))));
  await bench.manager.untilStatus('t1', 'running');
  bench.manager.onHello = () => bench.manager.welcome();
  bench.runtime.calls.length = 0;
  await bench.restart();
  await until('a second session', () => bench.manager.hellos.length === 2);
  await bench.manager.untilStatus('t1', 'running');
  t.deepEqual(bench.runtime.calls, []);
  // The set names a second task, whose secret is not here yet: the config is, from the disk.
  bench.manager.change('piece', [putTask(needy('t2'))]);
  await until('it waits', () => /secret/.test(bench.manager.statuses.get('t2')?.Message ?? ''));
  bench.manager.change('complete', [putSecret, putConfig, putTask(needy('t1'))]);
  await bench.manager.untilStatus('t2', 'running');
  t.deepEqual(bench.runtime.objects.get('t2')!.get('config', 'config1'), config);
  t.false(bench.runtime.calls.some((call) => call.endsWith('t1')));
  await bench.close();
});

test('Pieces hold as they come; what a set does not name goes with its last piece', async (t) => {
  const bench = await open(assigning(makeTask('t1'), makeTask('t2')));
  await bench.manager.untilStatus('t2', 'running');
  bench.manager.change('piece', [putTask(makeTask('t3'))]);
  // A later piece may say what has to stop first.
  await until('it waits', () =>
    /what has to stop/.test(bench.manager.statuses.get('t3')?.Message ?? ''),
  );
  t.true(bench.runtime.tasks.has('t1'));
  bench.manager.change('piece', [putTask(makeTask('t2'))]);
  bench.manager.change('complete', [putConfig]);
  await until('t1 is removed', () => !bench.runtime.tasks.has('t1'));
  await bench.manager.untilStatus('t3', 'running');
  t.deepEqual([...bench.runtime.tasks.keys()], ['t2', 't3']);
  t.is(bench.manager.hellos.length, 1);
  await bench.close();
});

test('A change in the middle of a set, or a piece that is missing, opens a new session', async (t) => {
  const bench = await open(giving(putTask(makeTask('t1'))));
  await bench.manager.untilStatus('t1', 'running');
  bench.manager.change('piece', []);
  bench.manager.change('incremental', [putTask(makeTask('t2'))]);
  await until('a second session', () => bench.manager.hellos.length === 2);
  await bench.manager.untilStatus('t1', 'running');
  const piece = { type: 'assignments', set: 'piece', changes: [] } as const;
  bench.manager.send({ ...piece, appliesTo: 1, resultsIn: 2 });
  bench.manager.send({ ...piece, appliesTo: 3, resultsIn: 4 });
  await until('a third session', () => bench.manager.hellos.length === 3);
  await bench.manager.untilStatus('t1', 'running');
  t.false(bench.runtime.tasks.has('t2'));
  await bench.close();
});

test('A manager of protocol 1 assigns tasks, takes no other objects away, and gets no acknowledgement', async (t) => {
  let protocol = 2;
  const bench = await open(giving(putSecret, putConfig, putTask(needy('t1'))), {
    connect: ({ address }) =>
      new WebSocket(`ws://${address}/dispatcher`, [`swarm.dispatcher.${protocol}`]),
  });
  await bench.manager.untilStatus('t1', 'running');
  const acks = () => bench.manager.all('assignments-ack').length;
  await until('the acknowledgement', () => acks() === 1);
  const old = { type: 'assignments', kind: 'complete', appliesTo: 0, resultsIn: 1 } as const;
  bench.manager.onHello = () => {
    bench.manager.welcome();
    bench.manager.send({ ...old, update: [needy('t2')], remove: [] });
  };
  protocol = 1;
  bench.manager.socket?.terminate();
  await bench.manager.untilStatus('t2', 'running');
  await until('t1 is removed', () => !bench.runtime.tasks.has('t1'));
  t.is(acks(), 1);
  t.is(bench.manager.hellos.length, 2);
  await bench.close();
});

test('An unknown kind is skipped and named, and the rest holds', async (t) => {
  const gpu = { kind: 'gpu', action: 'put', object: { ID: 'gpu1' } } as never;
  const bench = await open(giving(gpu, putTask(makeTask('t1'))));
  await bench.manager.untilStatus('t1', 'running');
  t.is(bench.manager.hellos.length, 1);
  await bench.close();
});

test('A kind that is added has its own life, and tasks wait for it', async (t) => {
  const gpu = {
    kind: 'gpu',
    codec: { shape: configShape, limitBytes: 10_000 },
    persistence: 'disk',
    awaited: true,
  } as const;
  const need = { kind: 'gpu', id: 'gpu1', name: 'fast' } as never;
  const bench = await open(giving(putTask(makeTask('t1'))), {
    kinds: [...OBJECT_KINDS, gpu],
    needs: () => [need],
  });
  await until('it waits', () => /gpu fast/.test(bench.manager.statuses.get('t1')?.Message ?? ''));
  const object = { ...config, ID: 'gpu1' };
  bench.manager.change('incremental', [{ kind: 'gpu', action: 'put', object } as never]);
  await bench.manager.untilStatus('t1', 'running');
  t.deepEqual(bench.runtime.objects.get('t1')!.get('gpu' as 'config', 'gpu1'), object);
  await bench.agent.close();
  const storage = agentDatabase(`${bench.folder}/tasks`, silentLogger);
  const { objects } = await storage.load(new Map([['gpu', configShape]]));
  t.deepEqual(objects, [{ kind: 'gpu', object }]);
  await storage.close();
  await bench.close();
});

test('An object is written once, however often sessions name it, and never where it is not kept', (t) => {
  const calls: string[] = [];
  const storage = {
    putObject: (kind: string, { ID }: { ID: string }) => calls.push(`put ${kind} ${ID}`),
    deleteObject: (kind: string, id: string) => calls.push(`delete ${kind} ${id}`),
  };
  const configs = new ObjectStore('config', storage);
  configs.restore(config);
  configs.put({ ...config });
  t.deepEqual(calls, []);
  configs.put({ ...config, Version: { Index: 2 } } as Config);
  configs.retain(new Set());
  t.deepEqual(calls.splice(0), ['put config config1', 'delete config config1']);
  const kept = OBJECT_KINDS.filter(({ persistence }) => persistence === 'disk');
  t.deepEqual(
    kept.map(({ kind }) => kind),
    ['network', 'config'],
  );
  const needs = new TaskNeeds(OBJECT_KINDS, storage);
  for (const store of needs.stores) store.put({ ID: 'x' });
  t.deepEqual(calls, ['put network x', 'put config x']);
});

test('Changes reach the store of their kind in order; what tasks need goes after them', (t) => {
  const calls: string[] = [];
  const recording = (kind: string): AssignedStore => ({
    kind,
    put: ({ ID }) => calls.push(`put ${kind} ${ID}`),
    remove: (id) => calls.push(`remove ${kind} ${id}`),
    retain: (named) => calls.push(`retain ${kind} ${[...named].join(' ')}`),
    unreadable: ({ id }) => calls.push(`unreadable ${kind} ${id}`),
  });
  const follower = new AssignmentFollower(['network', 'secret', 'task'].map(recording));
  const message = { type: 'assignments', appliesTo: 7, resultsIn: 8 } as const;
  const aside = {
    what: 'assigned object',
    kind: 'secret',
    id: 'secret2',
    desired: undefined,
    problem: 'odd',
  } as const;
  const task = makeTask('t1');
  t.false(follower.apply({ ...message, set: 'incremental', changes: [] }, []));
  t.true(
    follower.apply({ ...message, set: 'piece', changes: [putSecret, putTask(task)] }, [aside]),
  );
  t.true(follower.apply({ ...message, set: 'complete', appliesTo: 8, changes: [putNetwork] }, []));
  t.deepEqual(calls.splice(0), [
    'put secret secret1',
    'put task t1',
    'unreadable secret secret2',
    'put network net1',
    'retain task t1',
    'retain secret secret1 secret2',
    'retain network net1',
  ]);
  const removals: AssignmentChange[] = [
    { kind: 'task', action: 'remove', id: 't1' },
    { kind: 'secret', action: 'remove', id: 'secret1' },
  ];
  t.true(follower.apply({ ...message, set: 'incremental', appliesTo: 8, changes: removals }, []));
  t.deepEqual(calls, ['remove task t1', 'remove secret secret1']);
});
