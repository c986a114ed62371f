import { SECOND, type Task, type UpdateConfig } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { OrchestratorWorld } from './world.js';

const isImage = (task: Task, image: string) => task.Spec.ContainerSpec?.Image === image;
/** v2 and v3 run for a moment, then fail. */
const fails = (task: Task) =>
  isImage(task, 'v1') || isImage(task, 'good') ? {} : ({ end: 'failed', endAfterMs: 500 } as const);

interface Setup {
  readonly replicas?: number;
  readonly update?: UpdateConfig;
  readonly mode?: 'replicated' | 'global';
}

async function running(setup: Setup = {}): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  world.behaviour = fails;
  await world.nodes('n1', 'n2', 'n3');
  const Replicated = { Replicas: setup.replicas ?? 4 };
  await world.service({
    Mode: setup.mode === 'global' ? { Global: {} } : { Replicated },
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'any', Delay: SECOND },
    },
    ...(setup.update !== undefined && { UpdateConfig: setup.update }),
  });
  await world.start();
  await world.clock.advance(20_000);
  return world;
}

async function paused(setup: Setup = {}): Promise<OrchestratorWorld> {
  const world = await running(setup);
  await world.image('v2');
  await world.clock.advance(20_000);
  return world;
}

const all = (image: string, count: number) => Array.from({ length: count }, () => image);

/** Asserts that the update is still paused, and that only `v1` runs. */
async function staysPaused(t: ExecutionContext, world: OrchestratorWorld, count = 4) {
  await world.clock.advance(60_000);
  t.is(world.state(), 'paused');
  t.deepEqual(world.images(), all('v1', count));
}

test('the slot that a bad update took goes back to what completed', async (t) => {
  const world = await paused();
  await staysPaused(t, world);
  t.is(world.tasks().filter((task) => isImage(task, 'v2')).length, 1, 'one bad task was made');
  await world.stop();
});

test('a global service is paused alike', async (t) => {
  const world = await paused({ mode: 'global' });
  await staysPaused(t, world, 3);
  await world.nodes('n4');
  await staysPaused(t, world, 4);
  await world.stop();
});

test('scaling, labels and settings do not resume a paused update, and make good tasks', async (t) => {
  const world = await paused();
  await world.replicas(6);
  await staysPaused(t, world, 6);
  await world.update((spec) => ({ ...spec, Labels: { a: 'b' } }));
  await staysPaused(t, world, 6);
  await world.update((spec) => ({ ...spec, UpdateConfig: { Parallelism: 6 } }));
  await staysPaused(t, world, 6);
  await world.replicas(2);
  await staysPaused(t, world, 2);
  const bad = world.tasks().filter((task) => isImage(task, 'v2'));
  t.true(bad.length <= 1);
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 v2 failed', '3 v2 undefined']);
  await world.stop();
});

test('crashed, drained, killed and lost tasks are replaced by good ones while paused', async (t) => {
  const world = await paused();
  for (const task of world.up()) await world.status(task.ID, 'failed');
  await staysPaused(t, world);
  await world.availability('n1', 'drain');
  await staysPaused(t, world);
  t.false(world.up().some((task) => task.NodeID === 'n1'));
  await world.nodeState('n2', 'down');
  await staysPaused(t, world);
  t.true(world.up().every((task) => task.NodeID === 'n3'));
  await world.failOver();
  await world.replicas(5);
  await staysPaused(t, world, 5);
  await world.stop();
});

test('tasks of the paused update that run stay until they fail', async (t) => {
  const world = await running({ update: { Parallelism: 2 } });
  world.behaviour = (task) => (task.Slot === 1 ? fails(task) : {});
  await world.image('v2');
  await world.clock.advance(30_000);
  t.is(world.state(), 'paused');
  t.deepEqual(world.images().sort(), ['v1', 'v1', 'v1', 'v2']);
  const bad = world.up().find((task) => isImage(task, 'v2'));
  await world.status(bad?.ID ?? '', 'failed');
  await staysPaused(t, world);
  await world.stop();
});

test('a paused update goes on when it is resumed', async (t) => {
  const world = await paused();
  world.behaviour = () => ({});
  await world.resume();
  await world.clock.advance(200);
  t.is(world.state(), 'updating');
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  t.deepEqual(world.images(), all('v2', 4));
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 v2 completed']);
  await world.stop();
});

test('resuming what is still bad costs one more task, and pauses again', async (t) => {
  const world = await paused();
  await world.resume();
  await staysPaused(t, world);
  t.is(world.tasks().filter((task) => isImage(task, 'v2')).length, 2);
  await world.stop();
});

for (const mode of ['replicated', 'global'] as const)
  test(`resuming tries a task again that its policy does not restart, of a ${mode} service`, async (t) => {
    const world = new OrchestratorWorld();
    world.behaviour = (task) => (isImage(task, 'bad') ? { end: 'failed', endAfterMs: 500 } : {});
    await world.nodes('n1', 'n2');
    await world.service({
      Mode: mode === 'global' ? { Global: {} } : { Replicated: { Replicas: 2 } },
      TaskTemplate: {
        ContainerSpec: { Image: 'v1' },
        ForceUpdate: 0,
        RestartPolicy: { Condition: 'none' },
      },
    });
    await world.start();
    await world.clock.advance(20_000);
    await world.image('bad');
    await world.clock.advance(20_000);
    t.is(world.state(), 'paused');
    t.deepEqual(world.images(), ['v1']);
    await world.resume();
    await world.clock.advance(20_000);
    t.is(world.state(), 'paused', 'it is still bad');
    world.behaviour = () => ({});
    await world.resume();
    await world.clock.advance(60_000);
    t.is(world.state(), 'completed');
    t.deepEqual(world.images(), all('bad', 2));
    await world.stop();
  });

test('force rolls the bad spec out again, as it says', async (t) => {
  const world = await paused();
  world.behaviour = () => ({});
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 },
  }));
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  t.deepEqual(world.images(), all('v2', 4));
  await world.stop();
});

test('while a rollback is paused, tasks are made of what completed last', async (t) => {
  const world = await running();
  await world.image('good');
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  // v1 does not work any more.
  world.behaviour = (task) => (isImage(task, 'v1') ? { end: 'failed', endAfterMs: 100 } : {});
  await world.rollBack();
  await world.clock.advance(60_000);
  t.is(world.state(), 'rollback_paused');
  t.deepEqual(world.images(), all('good', 4));
  await world.replicas(6);
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('good', 6));
  await world.stop();
});

test('nothing is written while paused and at rest', async (t) => {
  const world = await paused();
  await world.clock.advance(60_000);
  const { entries } = world.store;
  await world.clock.advance(10 * 60_000);
  t.is(world.store.entries, entries);
  await world.stop();
});

/** Changes image and constraints in one. */
async function constrain(world: OrchestratorWorld, image: string, constraint: string) {
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { Image: image },
      Placement: { Constraints: [constraint] },
    },
  }));
}

for (const mode of ['replicated', 'global'] as const) {
  test(`constraints of a paused update move no good task of a ${mode} service`, async (t) => {
    const count = mode === 'global' ? 3 : 4;
    const world = await running({ mode });
    await constrain(world, 'v2', 'node.id == n1');
    await staysPaused(t, world, count);
    const before = world.up().map(({ ID }) => ID);
    // Nodes are looked at again when something about them changes.
    await world.setNode('n2', (node) => ({
      ...node,
      Spec: { ...node.Spec, Labels: { zone: 'a' } },
    }));
    await staysPaused(t, world, count);
    t.deepEqual(
      world.up().map(({ ID }) => ID),
      before,
    );
    await world.stop();
  });
}
