import type { Task } from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

const GLOBAL = { Mode: { Global: {} } };
const nodesOf = (tasks: readonly Task[]) => tasks.map((task) => task.NodeID).sort();

async function running(...nodes: string[]): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes(...nodes);
  await world.service(GLOBAL);
  await world.start();
  await world.clock.advance(1000);
  return world;
}

async function withTask(change: Partial<Task>, ...nodes: string[]): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes(...nodes);
  await world.service(GLOBAL);
  await world.task('t1', { Slot: 0, Name: 'web.n1.t1', NodeID: 'n1', ...change });
  return world;
}

const observed = (State: Task['Status']['State']) => ({
  Status: { State, Timestamp: '1970-01-01T00:00:00Z', Message: '' },
});

test('every node gets one task, named after it and assigned to it', async (t) => {
  const world = await running('n1', 'n2');
  t.deepEqual(nodesOf(world.up()), ['n1', 'n2']);
  for (const task of world.tasks()) {
    t.is(task.Name, `web.${task.NodeID}.${task.ID}`);
    t.is(task.Slot, 0);
  }
  await world.stop();
});

test('a node that joins gets a task', async (t) => {
  const world = await running('n1');
  await world.nodes('n2');
  await world.clock.advance(500);
  t.deepEqual(nodesOf(world.up()), ['n1', 'n2']);
  await world.stop();
});

test('the tasks of a node that is removed go with it', async (t) => {
  const world = await running('n1', 'n2');
  await world.removeNode('n1');
  await world.clock.advance(1000);
  t.deepEqual(nodesOf(world.tasks()), ['n2']);
  await world.stop();
});

test('a drained node loses its task and gets one again when it is active', async (t) => {
  const world = await running('n1', 'n2');
  await world.availability('n1', 'drain');
  await world.clock.advance(1000);
  t.deepEqual(nodesOf(world.live()), ['n2']);
  await world.availability('n1', 'active');
  await world.clock.advance(1000);
  t.deepEqual(nodesOf(world.up()), ['n1', 'n2']);
  await world.stop();
});

test('a paused node keeps its task, but gets no new one and no update', async (t) => {
  const world = await running('n1', 'n2');
  await world.availability('n1', 'pause');
  await world.nodes('n3');
  await world.availability('n3', 'pause');
  await world.image('v2');
  await world.clock.advance(30_000);
  t.deepEqual(nodesOf(world.up()), ['n1', 'n2', 'n3'].slice(0, 2));
  const image = (node: string) =>
    world.up().find((task) => task.NodeID === node)?.Spec.ContainerSpec?.Image;
  t.deepEqual([image('n1'), image('n2')], ['nginx', 'v2']);
  t.is(world.state(), 'completed');
  await world.availability('n1', 'active');
  await world.clock.advance(30_000);
  t.is(image('n1'), 'v2');
  await world.stop();
});

test('a failed task on a paused node waits until the node is active', async (t) => {
  const world = await running('n1');
  await world.availability('n1', 'pause');
  const [task] = world.up();
  await world.status(task?.ID ?? '', 'failed');
  await world.clock.advance(60_000);
  t.is(world.tasks().length, 1);
  await world.availability('n1', 'active');
  await world.clock.advance(10_000);
  t.is(world.up().length, 1);
  await world.stop();
});

test('a node that goes down has its task shut down, and gets a new one when it is back', async (t) => {
  const world = await running('n1', 'n2');
  await world.nodeState('n1', 'down');
  await world.clock.advance(500);
  t.deepEqual(nodesOf(world.live()), ['n2']);
  await world.nodeState('n1', 'ready');
  await world.clock.advance(1000);
  t.deepEqual(nodesOf(world.up()), ['n1', 'n2']);
  await world.stop();
});

test('a node in an unknown state keeps its task', async (t) => {
  const world = await running('n1');
  const before = world.up();
  await world.nodeState('n1', 'unknown');
  await world.clock.advance(60_000);
  t.deepEqual(
    world.live().map((task) => task.ID),
    before.map((task) => task.ID),
  );
  await world.stop();
});

test('a service that is created later is placed on all nodes', async (t) => {
  const world = await running('n1', 'n2');
  await world.service(GLOBAL, 'log');
  await world.clock.advance(500);
  t.deepEqual(nodesOf(world.up('log')), ['n1', 'n2']);
  await world.stop();
});

test('a service that is deleted takes its tasks along', async (t) => {
  const world = await running('n1', 'n2');
  await world.store.transact((tx) => {
    const service = tx.get('service', 'web');
    if (service !== undefined) tx.update('service', { ...service, PendingDelete: true });
  });
  await world.clock.advance(2000);
  t.is(world.store.count('task'), 0);
  t.is(world.store.count('service'), 0);
  await world.stop();
});

test('a deleted task is created again', async (t) => {
  const world = await running('n1');
  const [task] = world.up();
  await world.store.transact((tx) => tx.remove('task', task?.ID ?? ''));
  await world.clock.advance(500);
  t.deepEqual(nodesOf(world.up()), ['n1']);
  await world.stop();
});

test('a task that fails is restarted on its node', async (t) => {
  const world = await running('n1', 'n2');
  const task = world.up().find((one) => one.NodeID === 'n1');
  await world.status(task?.ID ?? '', 'failed');
  await world.clock.advance(6000);
  t.deepEqual(nodesOf(world.up()), ['n1', 'n2']);
  t.is(world.store.get('task', task?.ID ?? '')?.DesiredState, 'shutdown');
  await world.stop();
});

test('a node whose labels no longer match loses its task', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  const labels = (value: string) =>
    world.setNode('n1', (node) => ({ ...node, Spec: { ...node.Spec, Labels: { disk: value } } }));
  await labels('ssd');
  await world.service({
    ...GLOBAL,
    TaskTemplate: { ForceUpdate: 0, Placement: { Constraints: ['node.labels.disk == ssd'] } },
  });
  await world.start();
  await world.clock.advance(500);
  t.deepEqual(nodesOf(world.up()), ['n1']);
  await labels('hdd');
  await world.clock.advance(500);
  t.deepEqual(nodesOf(world.live()), []);
  await world.stop();
});

for (const state of ['rejected', 'failed'] as const) {
  test(`at the start, a ${state} task that is still wanted is replaced`, async (t) => {
    const world = await withTask(observed(state), 'n1');
    await world.start();
    await world.clock.advance(6000);
    t.deepEqual(nodesOf(world.up()), ['n1']);
    t.is(world.store.get('task', 't1')?.DesiredState, 'shutdown');
    await world.stop();
  });
}

test('at the start, a second task on the same node is shut down', async (t) => {
  const world = await withTask(observed('running'), 'n1');
  await world.task('t2', { Slot: 0, NodeID: 'n1', ...observed('running') });
  await world.start();
  await world.clock.advance(500);
  t.is(world.up().length, 1);
  await world.stop();
});

test('at the start, several services are all served', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service(GLOBAL, 'a');
  await world.service(GLOBAL, 'b');
  await world.start();
  await world.clock.advance(500);
  t.is(world.up('a').length + world.up('b').length, 4);
  await world.stop();
});

test('at the start, tasks of a service that is gone are removed', async (t) => {
  const world = await withTask({ ServiceID: 'gone', ...observed('running') }, 'n1');
  await world.start();
  await world.clock.advance(2000);
  t.is(world.store.get('task', 't1'), undefined);
  await world.stop();
});

test('at the start, a task on a drained node is shut down', async (t) => {
  const world = await withTask(observed('running'), 'n1');
  await world.availability('n1', 'drain');
  await world.start();
  await world.clock.advance(500);
  t.is(world.store.get('task', 't1')?.DesiredState, 'shutdown');
  t.is(world.live().length, 0);
  await world.stop();
});

test('at the start, a task on a node that does not exist is removed', async (t) => {
  const world = await withTask({ NodeID: 'n9', ...observed('running') }, 'n1');
  await world.start();
  await world.clock.advance(1000);
  t.is(world.store.get('task', 't1'), undefined);
  await world.stop();
});

test('at the start, the attempts of each node are known', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service({
    ...GLOBAL,
    TaskTemplate: { ForceUpdate: 0, RestartPolicy: { Condition: 'any', Delay: 0, MaxAttempts: 1 } },
  });
  const restarted = { Restart: { Attempts: 1, Failures: 1, NotBefore: '2026-01-01T00:00:00Z' } };
  await world.task('t1', { Slot: 0, NodeID: 'n1', ...observed('failed'), ...restarted });
  await world.task('t2', { Slot: 0, NodeID: 'n2', ...observed('failed') });
  await world.start();
  await world.clock.advance(1000);
  t.deepEqual(nodesOf(world.up()), ['n2']);
  await world.stop();
});

test('an update goes from node to node', async (t) => {
  const world = await running('n1', 'n2', 'n3');
  world.watchUp();
  await world.image('v2');
  await world.clock.advance(20_000);
  t.deepEqual(world.images(), ['v2', 'v2', 'v2']);
  t.is(world.leastUp, 2);
  t.is(world.state(), 'completed');
  await world.stop();
});
