import type { Task } from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

const RUNNING = {
  State: 'running' as const,
  Timestamp: '1970-01-01T00:00:00Z',
  Message: 'started',
};

async function placed(
  constraints: readonly string[],
  ...tasks: [string, Partial<Task>][]
): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas: tasks.length } },
    TaskTemplate: { ForceUpdate: 0, Placement: { Constraints: constraints } },
  });
  let slot = 0;
  for (const [id, change] of tasks) {
    await world.clock.advance(10);
    await world.task(id, { Slot: ++slot, NodeID: 'n1', Status: RUNNING, ...change });
  }
  return world;
}

const reserve = (bytes: number): Partial<Task> => ({
  Spec: { ForceUpdate: 0, Resources: { Reservations: { MemoryBytes: bytes } } },
});

const label = (world: OrchestratorWorld, disk: string) =>
  world.setNode('n1', (node) => ({ ...node, Spec: { ...node.Spec, Labels: { disk } } }));

const rejected = (world: OrchestratorWorld) =>
  world
    .tasks()
    .filter((task) => task.Status.State === 'rejected')
    .map((task) => task.ID)
    .sort();

test('tasks are rejected when the labels of their node no longer match', async (t) => {
  const world = await placed(['node.labels.disk == ssd'], ['a', {}], ['b', { NodeID: 'n2' }]);
  await label(world, 'ssd');
  await world.setNode('n2', (node) => ({
    ...node,
    Spec: { ...node.Spec, Labels: { disk: 'ssd' } },
  }));
  await world.start({ idle: true });
  await world.clock.advance(10);
  t.deepEqual(rejected(world), []);
  await label(world, 'hdd');
  await world.clock.advance(10);
  t.deepEqual(rejected(world), ['a']);
  t.is(world.store.get('task', 'a')?.Status.Message, 'assigned node no longer meets constraints');
  t.is(world.store.get('task', 'a')?.DesiredState, 'shutdown', 'and it is replaced');
  await world.stop();
});

test('only the current constraints of the service count', async (t) => {
  const world = await placed([], ['a', {}]);
  await world.store.transact((tx) => {
    const task = tx.get('task', 'a');
    if (task === undefined) return;
    const Spec = { ...task.Spec, Placement: { Constraints: ['node.labels.disk == ssd'] } };
    tx.update('task', { ...task, Spec });
  });
  await world.start({ idle: true });
  await world.clock.advance(10);
  t.deepEqual(rejected(world), []);
  await world.stop();
});

test('paused, drained and down nodes are left alone', async (t) => {
  for (const availability of ['pause', 'drain'] as const) {
    const world = await placed(['node.labels.disk == ssd'], ['a', {}]);
    await world.availability('n1', availability);
    await world.start({ idle: true });
    await world.clock.advance(10);
    t.deepEqual(rejected(world), []);
    await world.stop();
  }
});

test('of tasks that reserve more than the node has, the younger ones are rejected', async (t) => {
  const GIB = 1024 ** 3;
  const world = await placed(
    [],
    ['c', reserve(3 * GIB)],
    ['b', reserve(4 * GIB)],
    ['a', reserve(GIB)],
    ['z', {}],
  );
  await world.start({ idle: true });
  await world.clock.advance(10);
  t.deepEqual(rejected(world), []);
  await world.setNode('n1', (node) => ({
    ...node,
    Description: {
      ...(node.Description ?? {
        Hostname: '',
        Platform: { Architecture: '', OS: '' },
        Engine: { EngineVersion: '' },
      }),
      Resources: { MemoryBytes: 4 * GIB },
    },
  }));
  await world.clock.advance(10);
  t.deepEqual(rejected(world), ['b']);
  await world.stop();
});

test('ended tasks hold no reservation', async (t) => {
  const GIB = 1024 ** 3;
  const world = await placed(
    [],
    [
      'a',
      { ...reserve(8 * GIB), DesiredState: 'complete', Status: { ...RUNNING, State: 'complete' } },
    ],
    ['b', reserve(8 * GIB)],
  );
  await world.start({ idle: true });
  await world.clock.advance(10);
  t.deepEqual(rejected(world), []);
  await world.stop();
});
