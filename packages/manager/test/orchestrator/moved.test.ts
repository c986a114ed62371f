import { SECOND, type RestartPolicy, type ServiceMode, type Task } from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

/** One replica on w1, where its label is. */
async function labelled(
  RestartPolicy: RestartPolicy,
  Mode: ServiceMode = { Replicated: { Replicas: 1 } },
): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes('w1', 'w2');
  await label(world, 'w1', 'fast');
  await world.service({
    Mode,
    TaskTemplate: {
      ContainerSpec: { Image: 'nginx' },
      ForceUpdate: 0,
      Placement: { Constraints: ['node.labels.disk == fast'] },
      RestartPolicy,
    },
  });
  await world.start();
  await world.clock.advance(500);
  return world;
}

async function label(world: OrchestratorWorld, id: string, disk: string): Promise<void> {
  await world.setNode(id, (node) => ({ ...node, Spec: { ...node.Spec, Labels: { disk } } }));
}

const places = (world: OrchestratorWorld) => world.up().map((task) => task.NodeID);

const POLICIES: readonly [string, RestartPolicy][] = [
  ['any', { Condition: 'any', Delay: 10 * SECOND }],
  ['none', { Condition: 'none' }],
  ['two attempts', { Condition: 'on-failure', Delay: 10 * SECOND, MaxAttempts: 2 }],
];

for (const [name, policy] of POLICIES) {
  test(`policy ${name}: a label that moves takes the task along at once, again and again`, async (t) => {
    const world = await labelled(policy);
    for (let round = 0; round < 6; round++) {
      const [from, to] = round % 2 === 0 ? ['w1', 'w2'] : ['w2', 'w1'];
      await label(world, from as string, 'slow');
      await label(world, to as string, 'fast');
      await world.clock.advance(500);
      t.deepEqual(places(world), [to], `round ${round}`);
      t.is(world.up()[0]?.Restart, undefined);
    }
    await world.stop();
  });

  test(`policy ${name}: draining and losing nodes moves tasks at once`, async (t) => {
    const world = await labelled(policy);
    await label(world, 'w2', 'fast');
    await world.availability('w1', 'drain');
    await world.clock.advance(1000);
    t.deepEqual(places(world), ['w2']);
    await world.availability('w1', 'active');
    await world.nodeState('w2', 'down');
    await world.clock.advance(500);
    t.true(places(world).includes('w1'));
    await world.nodeState('w2', 'ready');
    await world.removeNode('w1');
    await world.clock.advance(500);
    t.true(places(world).includes('w2'));
    await world.stop();
  });
}

test('a move keeps the attempts that were made, and adds none', async (t) => {
  const world = await labelled({ Condition: 'any', Delay: 0, MaxAttempts: 2 });
  await world.status(world.up()[0]?.ID ?? '', 'failed');
  await world.clock.advance(500);
  await label(world, 'w1', 'slow');
  await label(world, 'w2', 'fast');
  await world.clock.advance(500);
  t.deepEqual(places(world), ['w2']);
  t.is(world.up()[0]?.Restart?.Attempts, 1);
  world.behaviour = () => ({ end: 'failed' });
  await world.status(world.up()[0]?.ID ?? '', 'failed');
  await world.clock.advance(60_000);
  t.is(world.live().length, 0);
  t.is(Math.max(...world.tasks().map((task) => task.Restart?.Attempts ?? 0)), 2);
  await world.stop();
});

test('a task that waits before its restart goes on waiting on another node', async (t) => {
  const world = await labelled({ Condition: 'any', Delay: 30 * SECOND });
  await label(world, 'w2', 'fast');
  await world.status(world.up()[0]?.ID ?? '', 'failed');
  await world.clock.advance(10_000);
  const [waiting] = world.live();
  await world.nodeState(waiting?.NodeID ?? '', 'down');
  await world.clock.advance(10_000);
  t.is(world.up().length, 0);
  t.not(world.live()[0]?.NodeID, waiting?.NodeID);
  await world.clock.advance(11_000);
  t.is(world.up().length, 1);
  await world.stop();
});

test('a task that ended is not moved', async (t) => {
  const world = await labelled({ Condition: 'none' });
  await world.status(world.up()[0]?.ID ?? '', 'complete');
  await label(world, 'w2', 'fast');
  await world.availability('w1', 'drain');
  await world.removeNode('w1');
  await world.clock.advance(60_000);
  t.is(world.tasks().length, 1);
  await world.stop();
});

for (const Mode of [{ Global: {} }, { GlobalJob: {} }] as ServiceMode[]) {
  test(`${Object.keys(Mode)[0]}: a label that comes back brings the task back, whatever the condition`, async (t) => {
    const world = await labelled({ Condition: 'none' }, Mode);
    const runs = () => world.tasks().filter(({ Status }) => Status.State === 'running').length;
    t.is(runs(), 1);
    for (let round = 0; round < 3; round++) {
      await label(world, 'w1', 'slow');
      await world.clock.advance(500);
      t.is(runs(), 0);
      await label(world, 'w1', 'fast');
      await world.clock.advance(500);
      t.is(runs(), 1, `round ${round}`);
    }
    await world.stop();
  });
}

test('a replicated job starts again elsewhere, without an attempt', async (t) => {
  const world = await labelled(
    { Condition: 'on-failure', Delay: 10 * SECOND, MaxAttempts: 1 },
    { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } },
  );
  const runs = () => world.tasks().filter(({ Status }) => Status.State === 'running');
  for (let round = 0; round < 4; round++) {
    const [from, to] = round % 2 === 0 ? ['w1', 'w2'] : ['w2', 'w1'];
    await label(world, from as string, 'slow');
    await label(world, to as string, 'fast');
    await world.clock.advance(500);
    t.deepEqual(
      runs().map(({ NodeID, Restart }) => [NodeID, Restart]),
      [[to, undefined]],
      `round ${round}`,
    );
  }
  await world.stop();
});

test('a task that the enforcer took is history, and not a failure of the update that made it', async (t) => {
  const world = await labelled({ Condition: 'any' });
  await world.image('v2');
  await world.clock.advance(1000);
  t.deepEqual(world.images(), ['v2']);
  const victim = world.up()[0] as Task;
  await label(world, 'w1', 'slow');
  await world.clock.advance(100);
  const task = world.store.get('task', victim.ID);
  t.is(task?.Status.State, 'rejected');
  t.like(task?.Stop, { Moved: true, Reason: "its node does not meet the service's constraints" });
  t.is(world.live()[0]?.Status.State, 'pending');
  await label(world, 'w2', 'fast');
  await world.clock.advance(20_000);
  t.is(world.state(), 'completed');
  t.deepEqual(places(world), ['w2']);
  await world.stop();
});
