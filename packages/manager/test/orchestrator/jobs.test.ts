import { isTerminal, type ServiceMode } from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

async function job(Mode: ServiceMode, policy = {}, ...nodes: string[]): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes(...(nodes.length > 0 ? nodes : ['n1', 'n2']));
  await world.service({
    Mode,
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'on-failure', Delay: 0, ...policy },
    },
  });
  world.behaviour = () => ({ end: 'complete', endAfterMs: 1000 });
  await world.start();
  return world;
}

const done = (world: OrchestratorWorld) =>
  world.tasks().filter((task) => task.Status.State === 'complete');

test('a replicated job runs MaxConcurrent tasks at once until TotalCompletions have completed', async (t) => {
  const world = await job({ ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 } });
  let most = 0;
  world.store.watch(() => {
    most = Math.max(most, world.tasks().filter((task) => !isTerminal(task.Status.State)).length);
  });
  await world.clock.advance(20_000);
  t.is(most, 2);
  t.is(done(world).length, 5);
  t.is(world.tasks().length, 5);
  t.true(world.tasks().every((task) => task.DesiredState === 'complete'));
  await world.stop();
});

test('a task of a job that fails is restarted in its slot, as often as allowed', async (t) => {
  for (const mode of [{ ReplicatedJob: { TotalCompletions: 1 } }, { GlobalJob: {} }]) {
    const world = await job(mode, { MaxAttempts: 2 }, 'n1');
    world.behaviour = () => ({ end: 'failed' });
    await world.clock.advance(120_000);
    t.is(world.tasks().length, 3);
    t.true(world.tasks().every((task) => task.Status.State === 'failed'));
    await world.stop();
  }
});

test('with condition none a failed task of a job is not restarted', async (t) => {
  const world = await job({ ReplicatedJob: { TotalCompletions: 1 } }, { Condition: 'none' });
  world.behaviour = () => ({ end: 'failed' });
  await world.clock.advance(60_000);
  t.is(world.tasks().length, 1);
  await world.stop();
});

test('an update runs the job again and leaves no history of the previous run', async (t) => {
  const world = await job({ ReplicatedJob: { MaxConcurrent: 3 } });
  await world.clock.advance(5000);
  const former = done(world).map((task) => task.ID);
  t.is(former.length, 3);
  await world.update((spec) => ({ ...spec, Labels: { run: '2' } }));
  await world.clock.advance(5000);
  t.is(done(world).length, 3);
  t.false(done(world).some((task) => former.includes(task.ID)));
  t.is(world.tasks().length, 3);
  await world.stop();
});

test('a rollback runs a job again as it was when it last succeeded', async (t) => {
  const world = await job({ ReplicatedJob: { MaxConcurrent: 2 } }, { MaxAttempts: 1 });
  await world.clock.advance(5000);
  await world.update((spec) => ({ ...spec, Labels: { run: '2' } }));
  await world.clock.advance(5000);
  world.behaviour = (task) =>
    task.Spec.ContainerSpec?.Image === 'bad' ? { end: 'failed' } : { end: 'complete' };
  await world.image('bad');
  await world.clock.advance(60_000);
  t.is(done(world).length, 0);
  await world.rollBack();
  await world.clock.advance(5000);
  t.is(done(world).length, 2);
  t.true(world.tasks().every((task) => task.Spec.ContainerSpec?.Image === 'v1'));
  t.deepEqual(world.store.get('service', 'web')?.Spec.Labels, { run: '2' });
  t.deepEqual(world.revisions(), ['1 v1 completed', '2 v1 undefined', '3 bad replaced']);
  await world.stop();
});

test('a task of a job on a drained or down node starts again elsewhere', async (t) => {
  for (const leave of ['drain', 'down'] as const) {
    const world = await job({ ReplicatedJob: { TotalCompletions: 1 } }, {}, 'n1');
    await world.clock.advance(500);
    await world.nodes('n2');
    if (leave === 'drain') await world.availability('n1', 'drain');
    else await world.nodeState('n1', 'down');
    await world.clock.advance(10_000);
    t.deepEqual(
      done(world).map((task) => task.NodeID),
      ['n2'],
      leave,
    );
    await world.stop();
  }
});

test('a global job runs once on every matching node, even on one that joins later', async (t) => {
  const world = await job({ GlobalJob: {} });
  await world.clock.advance(5000);
  t.deepEqual(
    done(world)
      .map((task) => task.NodeID)
      .sort(),
    ['n1', 'n2'],
  );
  await world.nodes('n3');
  await world.clock.advance(5000);
  t.deepEqual(
    done(world)
      .map((task) => task.NodeID)
      .sort(),
    ['n1', 'n2', 'n3'],
  );
  await world.stop();
});

test('a global job stops on a drained node, and starts again there when it is active', async (t) => {
  const world = await job({ GlobalJob: {} }, {}, 'n1');
  await world.clock.advance(500);
  await world.availability('n1', 'drain');
  await world.clock.advance(5000);
  t.is(done(world).length, 0);
  t.is(world.tasks()[0]?.DesiredState, 'shutdown');
  await world.availability('n1', 'active');
  await world.clock.advance(5000);
  t.is(done(world).length, 1);
  await world.stop();
});

test('a task of a global job that completed while it was told to stop does not run again', async (t) => {
  const world = await job({ GlobalJob: {} }, {}, 'n1');
  world.behaviour = () => ({ lingers: true });
  await world.clock.advance(500);
  await world.availability('n1', 'drain');
  await world.clock.advance(500);
  const [task] = world.tasks();
  t.is(task?.Stop?.Moved, true);
  await world.status(task!.ID, 'complete');
  await world.availability('n1', 'active');
  await world.clock.advance(5000);
  t.is(world.tasks().length, 1);
  await world.stop();
});

test('a job service that is deleted takes its tasks along', async (t) => {
  const world = await job({ ReplicatedJob: { MaxConcurrent: 2 } });
  await world.clock.advance(500);
  await world.store.transact((tx) => {
    const service = tx.get('service', 'web');
    if (service !== undefined) tx.update('service', { ...service, PendingDelete: true });
  });
  await world.clock.advance(5000);
  t.is(world.store.count('task'), 0);
  t.is(world.store.count('service'), 0);
  await world.stop();
});
