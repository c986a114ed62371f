import type { Need, Task } from '@swarm/api';
import { DISPATCH_FRAME_LIMIT_BYTES, sizeBytes } from '@swarm/api';
import test from 'ava';
import { AssignmentSet } from '../../src/dispatcher/assignment-set.js';
import {
  ASSIGNMENTS_ACK_LIMIT_MS,
  ASSIGNMENTS_BYTES_LIMIT,
  ASSIGNMENTS_WINDOW_BYTES,
} from '../../src/dispatcher/limits.js';
import { ObjectWatchers } from '../../src/dispatcher/object-watchers.js';
import type { Draft } from '../../src/store/store.js';
import {
  networkDraft,
  nodeDraft,
  patch,
  put,
  serviceDraft,
  taskDraft,
} from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { type TestAgent, helloOf, told, DispatcherWorld } from './harness.js';

const KIB = 1024;
const FILE = { Name: 'x', UID: '0', GID: '0', Mode: 0o444 };
const NO_LIMITS = { changes: Infinity, bytes: Infinity };

function data(id: string, bytes = 10): Draft<'config'> {
  return { ID: id, Spec: { Name: id, Labels: { of: 'ops' }, Data: 'A'.repeat(bytes) } };
}

interface Wants {
  readonly secrets?: readonly string[];
  readonly configs?: readonly string[];
  readonly networks?: readonly string[];
}

/** An assigned task on a node that needs these objects. */
function needy(id: string, nodeId: string, wants: Wants): Draft<'task'> {
  const { secrets = [], configs = [], networks = [] } = wants;
  return taskDraft(id, {
    NodeID: nodeId,
    Status: { Timestamp: '2026-01-01T00:00:00.000Z', State: 'assigned', Message: '' },
    Spec: {
      ContainerSpec: {
        Image: 'nginx',
        Secrets: secrets.map((name) => ({ SecretID: name, SecretName: name, File: FILE })),
        Configs: configs.map((name) => ({ ConfigID: name, ConfigName: name, File: FILE })),
      },
      ForceUpdate: 0,
    },
    NetworksAttachments: networks.map((name) => ({
      Network: { ID: name, Spec: { Name: name } },
      Addresses: ['10.240.1.5/32'],
    })),
  });
}

async function worldOf(
  t: Parameters<typeof DispatcherWorld.create>[0],
  nodes = ['n1'],
): Promise<DispatcherWorld> {
  const world = await DispatcherWorld.create(t);
  for (const id of nodes) await put(world.store, 'node', nodeDraft(id));
  world.dispatcher.start();
  return world;
}

/** What the agent is told next, once things are quiet. */
async function news(world: DispatcherWorld, agent: TestAgent): Promise<string[]> {
  const before = agent.assignments().length;
  await world.clock.advance(50);
  await world.roundTrip(agent);
  return told(...agent.assignments().slice(before));
}

test('a node gets an object before the first task that needs it, and loses it after the last', async (t) => {
  const world = await worldOf(t);
  await put(world.store, 'secret', data('s1'));
  await put(world.store, 'config', data('c1'));
  await put(world.store, 'network', networkDraft('net1'));
  const agent = await world.join('n1');
  t.deepEqual(told(...agent.assignments()), []);
  const wants = { secrets: ['s1'], configs: ['c1'], networks: ['net1'] };
  await put(world.store, 'task', needy('t1', 'n1', wants));
  t.deepEqual(await news(world, agent), [
    'put network net1',
    'put secret s1',
    'put config c1',
    'put task t1',
  ]);
  await put(world.store, 'task', needy('t2', 'n1', { secrets: ['s1'] }));
  t.deepEqual(await news(world, agent), ['put task t2']);
  await world.store.transact((transaction) => transaction.remove('task', 't1'));
  t.deepEqual(await news(world, agent), [
    'remove task t1',
    'remove network net1',
    'remove config c1',
  ]);
  // A task that has ended needs nothing, though it stays.
  await patch(world.store, 'task', 't2', (task) => ({
    ...task,
    Status: { ...task.Status, State: 'failed' },
  }));
  t.deepEqual(await news(world, agent), ['remove secret s1']);
});

test('a change of an object is told to the nodes that need it, less what no node needs to know', async (t) => {
  const world = await worldOf(t, ['n1', 'n2']);
  await put(world.store, 'secret', data('s1'));
  await put(world.store, 'task', needy('t1', 'n1', { secrets: ['s1'] }));
  await put(world.store, 'task', needy('t2', 'n2', {}));
  const [one, two] = [await world.join('n1'), await world.join('n2')];
  t.deepEqual(told(...one.assignments()), ['put secret s1', 'put task t1']);
  t.deepEqual(told(...two.assignments()), ['put task t2']);
  const [first] = one.assignments()[0]!.changes;
  t.like(first, { kind: 'secret', object: { Spec: { Labels: {}, Data: 'A'.repeat(10) } } });
  const change = (spec: object) =>
    patch(world.store, 'secret', 's1', (secret) => ({
      ...secret,
      Spec: { ...secret.Spec, ...spec },
    }));
  await change({ Labels: { of: 'dev' } });
  t.deepEqual(await news(world, one), []);
  await change({ Data: 'QUFB' });
  t.deepEqual(await news(world, one), ['put secret s1']);
  await world.store.transact((transaction) => transaction.remove('secret', 's1'));
  t.deepEqual(await news(world, one), ['remove secret s1']);
  t.is(two.assignments().length, 1);
});

test('a task whose secret does not exist is told all the same, and the secret when it is made', async (t) => {
  const world = await worldOf(t);
  await put(world.store, 'task', needy('t1', 'n1', { secrets: ['s1'] }));
  const agent = await world.join('n1');
  t.deepEqual(told(...agent.assignments()), ['put task t1']);
  await put(world.store, 'secret', data('s1'));
  t.deepEqual(await news(world, agent), ['put secret s1']);
});

test('thousands of configs come in pieces within a window, and heartbeats are answered meanwhile', async (t) => {
  const world = await worldOf(t);
  const names = Array.from({ length: 40 }, (_, at) => `c${String(at).padStart(2, '0')}`);
  for (const name of names) await put(world.store, 'config', data(name, 200 * KIB));
  for (const at of [0, 20]) {
    await put(world.store, 'task', needy(`t${at}`, 'n1', { configs: names.slice(at, at + 20) }));
  }
  const agent = await world.connect('n1');
  agent.acksAssignments = false;
  agent.send(helloOf());
  await agent.next('mesh');
  await world.roundTrip(agent);
  const bytes = () => agent.assignments().reduce((sum, { changes }) => sum + sizeBytes(changes), 0);
  const most = ASSIGNMENTS_WINDOW_BYTES + ASSIGNMENTS_BYTES_LIMIT + 200 * KIB;
  t.true(bytes() <= most, `${bytes()} bytes`);
  t.true(agent.assignments().every(({ set }) => set === 'piece'));
  // Nothing more comes however long it takes, and the session lives.
  await world.pass(10_000, [agent]);
  t.true(bytes() <= most);
  let last = agent.assignments().at(-1)!;
  while (last.set === 'piece') {
    agent.send({ type: 'assignments-ack', resultsIn: last.resultsIn });
    const { resultsIn } = last;
    await world.until(() => agent.assignments().at(-1)!.resultsIn > resultsIn, 'the next piece');
    last = agent.assignments().at(-1)!;
  }
  const messages = agent.assignments();
  t.deepEqual(
    messages.map(({ appliesTo, resultsIn }) => [appliesTo, resultsIn]),
    messages.map((_, at) => [at, at + 1]),
  );
  t.true(messages.every(({ changes }) => sizeBytes(changes) < DISPATCH_FRAME_LIMIT_BYTES / 2));
  t.deepEqual(told(...messages), [
    ...names.slice(0, 20).map((name) => `put config ${name}`),
    'put task t0',
    ...names.slice(20).map((name) => `put config ${name}`),
    'put task t20',
  ]);
});

test('what changes while a set is under way is told after it', async (t) => {
  const world = await worldOf(t);
  const names = Array.from({ length: 8 }, (_, at) => `c${at}`);
  for (const name of names) await put(world.store, 'config', data(name, 300 * KIB));
  for (const name of names) {
    await put(world.store, 'task', needy(`t${name}`, 'n1', { configs: [name] }));
  }
  const agent = await world.connect('n1');
  agent.acksAssignments = false;
  agent.send(helloOf());
  await agent.next('mesh');
  t.true(agent.assignments().every(({ set }) => set === 'piece'));
  t.false(told(...agent.assignments()).includes('put task tc7'));
  await world.store.transact((transaction) => {
    for (const id of ['tc0', 'tc7']) transaction.remove('task', id);
  });
  await world.clock.advance(50);
  agent.acksAssignments = true;
  agent.send({ type: 'assignments-ack', resultsIn: agent.assignments().at(-1)!.resultsIn });
  await world.until(() => agent.assignments().at(-1)!.set === 'incremental', 'the changes');
  const all = told(...agent.assignments());
  t.deepEqual(told(agent.assignments().at(-1)!), ['remove task tc0', 'remove config c0']);
  t.false(all.some((change) => change.includes('c7')));
  t.is(all.filter((change) => change.startsWith('put task')).length, 7);
});

test('an agent that acknowledges nothing is told to start afresh, one that makes it up is refused', async (t) => {
  const world = await worldOf(t, ['n1', 'n2']);
  await put(world.store, 'task', needy('t1', 'n1', {}));
  const agent = await world.connect('n1');
  agent.acksAssignments = false;
  agent.send(helloOf());
  await agent.next('mesh');
  await world.pass(ASSIGNMENTS_ACK_LIMIT_MS - 1_000, [agent]);
  t.false(agent.closed);
  await world.clock.advance(1_000);
  t.is((await agent.next('session-end')).reason, 'no assignment was acknowledged in time');
  const liar = await world.join('n2');
  liar.send({ type: 'assignments-ack', resultsIn: 99 });
  t.regex((await liar.next('session-end')).reason, /assignments that were not sent/);
});

test('for an agent that knows no pieces the set is one message, however big', async (t) => {
  const store = createTestStore();
  for (const name of ['c1', 'c2', 'c3']) await put(store, 'config', data(name, 300 * KIB));
  await put(store, 'task', needy('t1', 'n1', { configs: ['c1', 'c2', 'c3'] }));
  const set = new AssignmentSet({
    nodeId: 'n1',
    view: store,
    isHeld: () => false,
    needed: () => {},
  });
  t.is(set.take(NO_LIMITS)?.message.set, 'complete');
  t.is(set.take(NO_LIMITS), undefined);
});

test('an agent of protocol 1 is told its tasks alone, all in one message, and acknowledges none', async (t) => {
  const world = await worldOf(t);
  await put(world.store, 'secret', data('s1'));
  const ids = Array.from({ length: 3_000 }, (_, at) => `t${at}`);
  for (const id of ids) await put(world.store, 'task', needy(id, 'n1', { secrets: ['s1'] }));
  world.protocols.set('n1', 1);
  const agent = await world.join('n1');
  const [first, ...more] = agent.of('assignments');
  t.deepEqual(more, []);
  t.like(first, { kind: 'complete', appliesTo: 0, resultsIn: 1, remove: [] });
  t.is(first !== undefined && 'update' in first ? first.update.length : 0, ids.length);
  // Nobody waits for what it does not know: no session ends, and changes go on.
  await world.pass(ASSIGNMENTS_ACK_LIMIT_MS, [agent]);
  await put(world.store, 'config', data('c1'));
  await put(world.store, 'task', needy('late', 'n1', { configs: ['c1'] }));
  await world.store.transact((transaction) => transaction.remove('task', 't0'));
  await world.clock.advance(50);
  await world.roundTrip(agent);
  const last = agent.of('assignments').at(-1)!;
  t.like(last, { kind: 'incremental', appliesTo: 1, resultsIn: 2, remove: ['t0'] });
  t.false('changes' in last);
  if ('update' in last)
    t.deepEqual(
      last.update.map(({ ID }) => ID),
      ['late'],
    );
  t.false(agent.closed);
});

test('a kind that is added reaches the nodes whose tasks need it', async (t) => {
  const store = createTestStore();
  await put(store, 'service', serviceDraft('gpu1'));
  await put(store, 'task', needy('t1', 'n1', {}));
  const watchers = new ObjectWatchers();
  const touched: string[] = [];
  const watcher = {
    touchObject(kind: string, id: string) {
      touched.push(`${kind} ${id}`);
      set.touchObject(kind, id);
    },
  };
  const set: AssignmentSet = new AssignmentSet({
    nodeId: 'n1',
    view: store,
    isHeld: () => false,
    needed: (key, isNeeded) =>
      isNeeded ? watchers.add(key, watcher) : watchers.delete(key, watcher),
    // The wire's types know the kinds that there are; this test has one more.
    kinds: [
      {
        kind: 'service' as 'config',
        put(view, id) {
          const object = view.get('service', id);
          return object && ({ kind: 'service', action: 'put', object } as never);
        },
      },
    ],
    needs: (task: Task) =>
      task.ID === 't1' ? [{ kind: 'service', id: 'gpu1', name: 'gpu' } as unknown as Need] : [],
  });
  const take = () => told(...[set.take(NO_LIMITS)?.message].filter((one) => one !== undefined));
  t.deepEqual(take(), ['put service gpu1', 'put task t1']);
  t.is(watchers.size, 1);
  await patch(store, 'service', 'gpu1', (service) => ({
    ...service,
    Spec: { ...service.Spec, Labels: { a: 'b' } },
  }));
  watchers.changed('service', 'other');
  watchers.changed('service', 'gpu1');
  t.deepEqual(touched, ['service gpu1']);
  t.deepEqual(take(), ['put service gpu1']);
  await store.transact((transaction) => transaction.remove('task', 't1'));
  set.touchTask('t1');
  t.deepEqual(take(), ['remove task t1', 'remove service gpu1']);
  t.is(watchers.size, 0);
});

test('an object that is needed again before its removal was told is still what the agent has', async (t) => {
  const store = createTestStore();
  for (const id of ['gone', 'kept', 'changed']) await put(store, 'secret', data(id));
  const secrets = ['gone', 'kept', 'changed'];
  await put(store, 'task', needy('t1', 'n1', { secrets }));
  const set = new AssignmentSet({
    nodeId: 'n1',
    view: store,
    isHeld: () => false,
    needed: () => {},
  });
  const take = (limits = NO_LIMITS) =>
    told(...[set.take(limits)?.message].filter((one) => one !== undefined));
  t.is(take().length, 4);
  await store.transact((transaction) => transaction.remove('task', 't1'));
  set.touchTask('t1');
  t.deepEqual(take({ changes: 1, bytes: Infinity }), ['remove task t1'], 'no room for more');
  await store.transact((transaction) => transaction.remove('secret', 'gone'));
  await patch(store, 'secret', 'changed', (secret) => ({
    ...secret,
    Spec: { ...secret.Spec, Data: 'QUFB' },
  }));
  await put(store, 'task', needy('t2', 'n1', { secrets }));
  set.touchTask('t2');
  t.deepEqual(take(), ['remove secret gone', 'put secret changed', 'put task t2']);
  t.is(set.pending, 0);
});
