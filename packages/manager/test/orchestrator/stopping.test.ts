import { SECOND, type ServiceSpec, type Task } from '@swarm/api';
import test from 'ava';
import { patch } from '../support/objects.js';
import { OrchestratorWorld } from './world.js';

const NO_NODE = 'no suitable node (scheduling constraints not satisfied on 2 nodes)';

async function running(
  replicas: number,
  spec: Partial<ServiceSpec['TaskTemplate']> = {},
): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas: replicas } },
    TaskTemplate: { ContainerSpec: { Image: 'v1' }, ForceUpdate: 0, ...spec },
  });
  await world.start();
  await world.clock.advance(1000);
  return world;
}

const constrain = (world: OrchestratorWorld, ...Constraints: string[]) =>
  world.update((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, Placement: { Constraints } },
  }));

const unplaced = (task: Task) =>
  (task.Spec.Placement?.Constraints ?? []).length > 0 ? { unplaced: NO_NODE } : {};

test('a task that has no node has nothing to stop: its replacement runs at once', async (t) => {
  const world = new OrchestratorWorld();
  world.behaviour = unplaced;
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas: 2 } },
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      Placement: { Constraints: ['node.labels.a == b'] },
    },
    UpdateConfig: { Parallelism: 0 },
  });
  await world.start();
  await world.clock.advance(1000);
  t.is(world.up().length, 0);
  const before = world.live();
  await constrain(world);
  await world.clock.advance(500);
  t.is(world.up().length, 2);
  for (const { ID } of before) {
    const { State, Message, Err } = world.store.get('task', ID)!.Status;
    t.is(State, 'shutdown');
    t.is(Message, 'not placed before it was stopped: replaced by an update');
    t.is(Err, NO_NODE, 'it still says why it was not placed');
  }
  await world.stop();
});

test('tasks that an older version left unplaced are not waited for either', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service();
  await world.task('old', {
    DesiredState: 'shutdown',
    Status: { State: 'pending', Timestamp: '1970-01-01T00:00:00Z', Message: '', Err: NO_NODE },
  });
  await world.start();
  await world.clock.advance(500);
  t.is(world.up().length, 1);
  await world.stop();
});

for (const way of ['update', 'rollback'] as const) {
  test(`an update that fits no node says so, and the next ${way} takes its place at once`, async (t) => {
    const world = await running(2);
    world.behaviour = unplaced;
    await constrain(world, 'node.labels.a == b');
    await world.clock.advance(60_000);
    t.is(world.up().length, 2, 'what runs goes on');
    t.regex(world.message() ?? '', /waiting for task \w+: no suitable node/);
    const started = world.clock.now();
    if (way === 'rollback') await world.rollBack();
    else await world.image('v3');
    if (way === 'update') {
      world.behaviour = () => ({});
      await constrain(world);
    }
    await world.clock.advance(500);
    t.true(world.live().every((task) => task.Status.State !== 'pending'));
    t.is(world.live().filter(({ Status }) => Status.Err === NO_NODE).length, 0);
    await world.clock.advance(10_000);
    t.is(world.state(), way === 'rollback' ? 'rollback_completed' : 'completed');
    t.true(world.clock.now() - started < 12_000);
    await world.stop();
  });
}

test('the stop of a replaced task has the longer grace period of old and new', async (t) => {
  for (const [own, next, wanted] of [
    [2, 60, 60],
    [60, 2, undefined],
  ] as const) {
    const world = await running(1, {
      ContainerSpec: { Image: 'v1', StopGracePeriod: own * SECOND, StopSignal: 'SIGQUIT' },
    });
    const [old] = world.up();
    await world.update((spec) => ({
      ...spec,
      TaskTemplate: {
        ...spec.TaskTemplate,
        ContainerSpec: { Image: 'v2', StopGracePeriod: next * SECOND, StopSignal: 'SIGINT' },
      },
    }));
    await world.clock.advance(5000);
    const { Stop } = world.store.get('task', old!.ID)!;
    t.is(Stop?.GracePeriod, wanted === undefined ? undefined : wanted * SECOND);
    t.is(Stop?.Signal, undefined, 'the signal belongs to the program of the old image');
    t.is(Stop?.Reason, 'replaced by an update');
    await world.stop();
  }
});

test('a replacement waits for the grace period of the stop, not for that of the old spec', async (t) => {
  const world = await running(1, {
    ContainerSpec: { Image: 'v1', StopGracePeriod: 2 * SECOND },
  });
  world.behaviour = (task) => (task.Spec.ContainerSpec?.Image === 'v1' ? { lingers: true } : {});
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { Image: 'v2', StopGracePeriod: 60 * SECOND },
    },
  }));
  await world.clock.advance(500);
  const [target] = world.live();
  t.regex(
    target?.Status.Message ?? '',
    /^ready: waits for task \w{25} to stop, until \S+Z at most$/,
  );
  await world.clock.advance(85_000);
  t.is(world.up().length, 0);
  await world.clock.advance(6000);
  t.is(world.up().length, 1);
  await world.stop();
});

test('a task that no update replaces is stopped by the newest grace period and signal', async (t) => {
  const world = await running(2, {
    ContainerSpec: { Image: 'v1', StopGracePeriod: 60 * SECOND, StopSignal: 'SIGQUIT' },
  });
  const stopped: Task[] = [];
  world.store.watch((change) => {
    for (const event of change.events)
      if (event.kind === 'task' && event.action === 'update' && event.object.Stop !== undefined)
        stopped.push(event.object);
  });
  const ids = world.up().map(({ ID }) => ID);
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { Image: 'v1', StopGracePeriod: 2 * SECOND },
      RestartPolicy: { Condition: 'on-failure' },
    },
  }));
  await world.clock.advance(20_000);
  t.deepEqual(
    world.up().map(({ ID }) => ID),
    ids,
    'the settings alone replace nothing',
  );
  await world.replicas(1);
  await world.clock.advance(500);
  t.like(stopped[0]?.Stop, {
    Reason: 'scaled down to 1',
    GracePeriod: 2 * SECOND,
    Signal: '',
  });
  await world.stop();
});

test('every task that stops says why', async (t) => {
  const reasons = new Set<string>();
  const world = await running(3);
  world.store.watch((change) => {
    for (const event of change.events) {
      if (event.kind !== 'task' || event.action !== 'update') continue;
      const { DesiredState, Status, Stop } = event.object;
      if (DesiredState !== 'shutdown' && DesiredState !== 'remove') continue;
      if (event.previous.DesiredState === DesiredState) continue;
      if (Status.State === 'failed') continue;
      t.truthy(Stop, `${Status.State} without a reason`);
      if (Status.State === 'running') t.is(Status.Message, `stopping: ${Stop?.Reason}`);
      reasons.add(Stop?.Reason ?? '');
    }
  });
  await world.image('v2');
  await world.clock.advance(20_000);
  await world.rollBack();
  await world.clock.advance(20_000);
  await world.availability('n1', 'drain');
  await world.clock.advance(5000);
  await world.availability('n1', 'active');
  await world.image('v3');
  await world.clock.advance(20_000);
  await world.nodeState('n1', 'down');
  await world.clock.advance(1000);
  await world.nodeState('n1', 'ready');
  await world.replicas(1);
  await world.clock.advance(1000);
  await patch(world.store, 'service', 'web', (service) => ({ ...service, PendingDelete: true }));
  await world.clock.advance(1000);
  t.deepEqual([...reasons].sort(), [
    'its node is down',
    'its node is drained',
    'its service was removed',
    'replaced by a rollback',
    'replaced by an update',
    'scaled down to 1',
  ]);
  await world.stop();
});
