import { SECOND, type RestartPolicy } from '@swarm/api';
import test from 'ava';
import { restartDelayMs } from '../../src/orchestrator/restart.js';
import { patch } from '../support/objects.js';
import { OrchestratorWorld } from './world.js';

async function withPolicy(RestartPolicy: RestartPolicy, Replicas = 1): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas } },
    TaskTemplate: { ContainerSpec: { Image: 'nginx' }, ForceUpdate: 0, RestartPolicy },
  });
  await world.start();
  await world.clock.advance(500);
  return world;
}

async function end(world: OrchestratorWorld, state: 'failed' | 'complete'): Promise<string> {
  const [task] = world.up();
  if (task === undefined) throw new Error('no task is up');
  await world.status(task.ID, state);
  await world.clock.advance(1);
  return task.ID;
}

test('condition any: restarts what failed and what completed', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 0 });
  for (const state of ['failed', 'complete'] as const) {
    const id = await end(world, state);
    await world.clock.advance(500);
    t.is(world.store.get('task', id)?.DesiredState, 'shutdown');
    t.is(world.up().length, 1);
  }
  await world.stop();
});

test('condition on-failure: restarts what failed, not what completed', async (t) => {
  const world = await withPolicy({ Condition: 'on-failure', Delay: 0 });
  await end(world, 'failed');
  await world.clock.advance(500);
  t.is(world.up().length, 1);
  await end(world, 'complete');
  await world.clock.advance(10_000);
  t.is(world.live().length, 0);
  t.is(world.tasks().length, 2);
  await world.stop();
});

test('condition none: restarts nothing, and the slot counts as filled', async (t) => {
  const world = await withPolicy({ Condition: 'none' }, 2);
  await end(world, 'failed');
  await world.clock.advance(10_000);
  t.is(world.live().length, 1);
  t.is(world.tasks().length, 2);
  await world.stop();
});

test('the replacement is prepared during the delay and runs when it is over', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 3 * SECOND });
  await end(world, 'failed');
  const [waiting] = world.live();
  t.is(waiting?.Status.Message, 'waiting 3s before restart');
  await world.clock.advance(2900);
  const [prepared] = world.live();
  t.deepEqual([prepared?.DesiredState, prepared?.Status.State], ['ready', 'ready']);
  await world.clock.advance(200);
  t.is(world.up().length, 1);
  await world.stop();
});

test('after the last attempt nothing is restarted, under every condition', async (t) => {
  for (const Condition of ['any', 'on-failure'] as const) {
    const world = await withPolicy({ Condition, Delay: 0, MaxAttempts: 2 });
    world.behaviour = () => ({ end: 'failed' });
    await end(world, 'failed');
    await world.clock.advance(120_000);
    t.is(world.live().length, 0);
    t.is(world.tasks().length, 3);
    await world.stop();
  }
});

test('a new spec starts a new count of attempts', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 0, MaxAttempts: 1 });
  await end(world, 'failed');
  await world.clock.advance(500);
  await end(world, 'failed');
  await world.clock.advance(5000);
  t.is(world.live().length, 0);
  await world.image('nginx:2');
  await world.clock.advance(10_000);
  t.deepEqual(world.images(), ['nginx:2']);
  await end(world, 'failed');
  await world.clock.advance(5000);
  t.is(world.up().length, 1);
  await world.stop();
});

test('attempts outside the window do not count', async (t) => {
  const world = await withPolicy({
    Condition: 'any',
    Delay: 0,
    MaxAttempts: 1,
    Window: 10 * SECOND,
  });
  await end(world, 'failed');
  await world.clock.advance(11_000);
  await end(world, 'failed');
  await world.clock.advance(2000);
  t.is(world.up().length, 1, 'the first restart is more than 10 s ago');
  await end(world, 'failed');
  await world.clock.advance(20_000);
  t.is(world.live().length, 0, 'the second is not');
  await world.stop();
});

test('a window forgets only what was followed by health, however long the back-off takes', async (t) => {
  const world = await withPolicy({
    Condition: 'any',
    Delay: 5 * SECOND,
    MaxAttempts: 3,
    Window: 30 * SECOND,
  });
  let made = 0;
  world.store.watch((change) => {
    for (const event of change.events)
      if (event.kind === 'task' && event.action === 'create') made++;
  });
  world.behaviour = () => ({ end: 'failed' });
  await end(world, 'failed');
  await world.clock.advance(60 * 60_000);
  t.is(made, 3);
  t.is(world.live().length, 0);
  const last = world.tasks().find((task) => task.Restart?.Attempts === 3);
  t.is(
    last?.Status.Message,
    'not restarted: all 3 restarts were used up; update the service to try again',
  );
  t.is(last?.Status.Err, last?.Status.Message, "Docker's clients show only errors");
  const { entries } = world.store;
  await world.clock.advance(60 * 60_000);
  t.is(world.store.entries, entries, 'nothing is written at rest');
  await world.failOver();
  await world.clock.advance(60_000);
  t.is(made, 3, 'a new leader does not begin again');
  await world.stop();
});

test('a task that was never seen running was not healthy, however long it was prepared', async (t) => {
  const world = await withPolicy({
    Condition: 'any',
    Delay: 0,
    MaxAttempts: 2,
    Window: 10 * SECOND,
  });
  world.behaviour = () => ({ holdAt: 'preparing' });
  await end(world, 'failed');
  for (let tries = 0; tries < 5; tries++) {
    await world.clock.advance(60_000);
    const [task] = world.live();
    if (task !== undefined) await world.status(task.ID, 'failed');
  }
  t.is(world.live().length, 0);
  await world.stop();
});

test('the status says when the restart condition is none, and nothing when all is well', async (t) => {
  const world = await withPolicy({ Condition: 'none' });
  const failed = await end(world, 'failed');
  t.is(
    world.store.get('task', failed)?.Status.Message,
    'not restarted: the restart condition is none',
  );
  await world.stop();
  const other = await withPolicy({ Condition: 'on-failure' });
  const done = await end(other, 'complete');
  t.is(other.store.get('task', done)?.Status.Message, 'created');
  t.is(other.store.get('task', done)?.Status.Err, undefined);
  await other.stop();
});

test("the service's current policy counts, whichever spec a task was made from", async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 5 * SECOND });
  const set = (RestartPolicy: RestartPolicy) =>
    patch(world.store, 'service', 'web', (service) => ({
      ...service,
      Spec: {
        ...service.Spec,
        TaskTemplate: { ...service.Spec.TaskTemplate, RestartPolicy },
      },
    }));
  await set({ Condition: 'none' });
  await end(world, 'failed');
  await world.clock.advance(60_000);
  t.is(world.live().length, 0);
  await set({ Condition: 'any', Delay: 0 });
  await world.clock.advance(1000);
  t.is(world.up().length, 1, 'the slot is filled again');
  await world.stop();
});

test('the wait before a restart says which one it is', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 5 * SECOND, MaxAttempts: 3 });
  await end(world, 'failed');
  t.is(world.live()[0]?.Status.Message, 'waiting 5s before restart 1 of 3');
  await world.stop();
});

test('a new leader remembers the attempts', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 0, MaxAttempts: 2 });
  await end(world, 'failed');
  await world.clock.advance(2000);
  await end(world, 'failed');
  await world.clock.advance(5000);
  await world.failOver();
  await end(world, 'failed');
  await world.clock.advance(60_000);
  t.is(world.live().length, 0);
  await world.stop();
});

test('a crash loop is restarted ever more slowly, up to 60 s', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 5 * SECOND });
  const starts: number[] = [];
  const messages: string[] = [];
  const seen = new Set<string>();
  world.store.watch((change) => {
    for (const event of change.events) {
      if (event.kind !== 'task') continue;
      if (event.action === 'create') messages.push(event.object.Status.Message);
      if (event.object.Status.State !== 'starting' || seen.has(event.object.ID)) continue;
      seen.add(event.object.ID);
      starts.push(world.clock.now());
    }
  });
  world.behaviour = () => ({ end: 'failed' });
  await end(world, 'failed');
  await world.clock.advance(300_000);
  const waits = starts.slice(1).map((at, i) => Math.round((at - (starts[i] ?? 0)) / 1000));
  t.deepEqual(waits.slice(0, 6), [10, 20, 40, 60, 60, 60]);
  t.deepEqual(messages.slice(0, 3), [
    'waiting 5s before restart',
    'waiting 10s before restart (2 failures in a row)',
    'waiting 20s before restart (3 failures in a row)',
  ]);
  await world.stop();
});

test('tasks that fail during preparation do not restart faster', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 5 * SECOND });
  world.behaviour = () => ({ end: 'rejected' });
  await end(world, 'failed');
  let made = 0;
  world.store.watch((change) => {
    made += change.events.filter(
      (event) => event.kind === 'task' && event.action === 'create',
    ).length;
  });
  await world.clock.advance(300_000);
  t.true(made >= 5 && made <= 8, `${made} tasks in 5 minutes`);
  await world.stop();
});

test('a new leader goes on with the back-off, and a long healthy run ends it', async (t) => {
  const world = await withPolicy({ Condition: 'any', Delay: 5 * SECOND });
  await end(world, 'failed');
  await world.clock.advance(6000);
  await end(world, 'failed');
  await world.failOver();
  await world.clock.advance(9000);
  t.is(world.up().length, 0);
  await world.clock.advance(2000);
  t.is(world.up().length, 1);
  await world.clock.advance(6 * 60_000);
  await end(world, 'failed');
  t.is(world.live()[0]?.Restart?.Failures, 1);
  await world.stop();
});

test('the back-off starts at the configured delay and leaves long delays alone', (t) => {
  t.deepEqual(
    [0, 1, 2, 3, 9].map((n) => restartDelayMs(5000, n)),
    [5000, 5000, 10_000, 20_000, 60_000],
  );
  t.deepEqual(
    [1, 2, 3].map((n) => restartDelayMs(0, n)),
    [0, 1000, 2000],
  );
  t.is(restartDelayMs(3_600_000, 7), 3_600_000);
});
