import { SECOND, type Task, type UpdateConfig } from '@swarm/api';
import test from 'ava';
import { generator } from './generator.js';
import { type Behaviour, OrchestratorWorld } from './world.js';

const imageOf = (task: Task) => task.Spec.ContainerSpec?.Image ?? '';
const isGood = (task: Task) => imageOf(task) === 'v1';

interface Setup {
  readonly replicas?: number;
  readonly update: UpdateConfig;
  readonly rollback?: UpdateConfig;
  readonly delayS?: number;
  /** Of tasks of bad specs. */
  readonly bad?: (task: Task) => Behaviour;
  readonly stopMs?: number;
  readonly isGlobal?: boolean;
}

async function running(setup: Setup): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  const { bad = () => ({ end: 'failed', endAfterMs: 500 }), stopMs } = setup;
  world.behaviour = (task) => ({
    ...(isGood(task) ? {} : bad(task)),
    ...(stopMs !== undefined && { stopMs }),
  });
  await world.nodes('n1', 'n2', ...(setup.isGlobal ? ['n3'] : []));
  await world.service({
    Mode: setup.isGlobal ? { Global: {} } : { Replicated: { Replicas: setup.replicas ?? 4 } },
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'any', Delay: (setup.delayS ?? 20) * SECOND },
    },
    UpdateConfig: setup.update,
    ...(setup.rollback !== undefined && { RollbackConfig: setup.rollback }),
  });
  await world.start();
  await world.clock.advance(1000);
  return world;
}

const orders = ['stop-first', 'start-first'] as const;

for (const Order of orders) {
  for (const Parallelism of [0, 1, 2, 4]) {
    test(`${Order}, ${Parallelism} at once: an automatic rollback waits out no back-off of the bad spec`, async (t) => {
      const update = { Parallelism, Order, FailureAction: 'rollback' as const };
      const world = await running({ update, rollback: { Parallelism, Order } });
      world.watchUp();
      await world.image('bad');
      await world.clock.advance(3000);
      t.deepEqual(
        world.images(),
        Array.from({ length: 4 }, () => 'v1'),
      );
      t.true(world.live().every(({ Restart }) => Restart === undefined));
      if (Order === 'start-first') t.is(world.leastUp, 4);
      await world.stop();
    });
  }
}

test('start-first: tasks that still drain hold up neither the rollback nor each other', async (t) => {
  // With a health check nothing is watched, so the old tasks are told to stop as soon as the new ones are up.
  const world = await running({
    update: { Parallelism: 4, Order: 'start-first', FailureAction: 'rollback' },
    rollback: { Parallelism: 1, Order: 'start-first' },
    stopMs: 15_000,
  });
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { Image: 'bad', Healthcheck: { Test: ['CMD', 'true'] } },
    },
  }));
  await world.clock.advance(3000);
  t.deepEqual(
    world.images(),
    Array.from({ length: 4 }, () => 'v1'),
  );
  t.is(world.tasks().filter((task) => isGood(task) && task.DesiredState === 'shutdown').length, 4);
  await world.stop();
});

for (const Order of orders) {
  test(`${Order}: a rollback restores what is down before it stops what runs`, async (t) => {
    const world = await running({
      replicas: 6,
      update: { Parallelism: 6, Order, FailureAction: 'rollback', MaxFailureRatio: 0.5 },
      rollback: { Parallelism: 1, Order: 'stop-first' },
      bad: ({ Slot }) => (Slot % 3 === 0 ? {} : { end: 'failed', endAfterMs: 100 * Slot }),
    });
    // With a health check nothing is watched: the old tasks stop as soon as the new ones are up.
    const ContainerSpec = { Image: 'bad', Healthcheck: { Test: ['CMD', 'true'] } };
    await world.update((spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, ContainerSpec },
    }));
    for (let at = 0; world.state() !== 'rollback_started' && at < 500; at++)
      await world.clock.advance(10);
    const begin = world.up().length;
    t.true(begin < 5, `${begin}`);
    let least = 6;
    world.store.watch(() => {
      least = Math.min(least, world.up().length);
    });
    await world.clock.advance(60_000);
    t.is(world.state(), 'rollback_completed');
    t.is(world.images().join(' '), 'v1 v1 v1 v1 v1 v1');
    t.true(least >= begin, `${least} of ${begin}`);
    await world.stop();
  });
}

test('global: what is down on a paused node does not hold up a rollback', async (t) => {
  const world = await running({
    update: { Parallelism: 0, FailureAction: 'pause' },
    rollback: { Parallelism: 1 },
    bad: ({ NodeID }) => (NodeID === 'n1' ? { end: 'failed', endAfterMs: 20_000 } : {}),
    isGlobal: true,
  });
  await world.image('bad');
  await world.clock.advance(10_000);
  t.deepEqual(world.images(), ['bad', 'bad', 'bad']);
  await world.availability('n1', 'pause');
  await world.clock.advance(20_000);
  t.deepEqual(world.images(), ['bad', 'bad']);
  await world.rollBack();
  await world.clock.advance(20_000);
  t.deepEqual(world.images(), ['v1', 'v1']);
  await world.stop();
});

test('start-first: a pause leaves every old task in place, and stops the new ones beside them', async (t) => {
  const world = await running({
    update: { Parallelism: 4, Order: 'start-first', FailureAction: 'pause' },
    bad: ({ Slot }) => (Slot === 2 ? { end: 'failed', endAfterMs: 2000 } : {}),
  });
  world.watchUp();
  await world.image('bad');
  await world.clock.advance(1500);
  t.is(world.up().length, 8, 'on trial');
  const watching = 'watching the new tasks for 5s before the old ones stop';
  t.is(world.message(), `update in progress; ${watching}`);
  await world.clock.advance(5000);
  t.is(world.state(), 'paused');
  t.deepEqual(world.images(), ['v1', 'v1', 'v1', 'v1']);
  t.is(world.leastUp, 4);
  await world.stop();
});

test('a paused update lets no back-off of its own spec hold up what it falls back to', async (t) => {
  const world = await running({
    update: { Parallelism: 2, FailureAction: 'pause', MaxFailureRatio: 0.4 },
    bad: ({ Slot }) =>
      Slot === 1 ? { end: 'failed', endAfterMs: 100 } : { end: 'failed', endAfterMs: 4000 },
  });
  await world.image('bad');
  await world.clock.advance(3000);
  t.is(world.state(), 'updating');
  const waiting = world.live().find(({ Restart }) => Restart !== undefined);
  t.is(waiting && imageOf(waiting), 'bad', 'within the ratio, it is tried again');
  await world.clock.advance(3000);
  t.is(world.state(), 'paused');
  t.deepEqual(world.images(), ['v1', 'v1', 'v1', 'v1']);
  await world.stop();
});

test('a task that used up its restarts is followed by one of what a paused update falls back to', async (t) => {
  const world = await running({ update: { Parallelism: 1, MaxFailureRatio: 0.3 } });
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { Image: 'bad' },
      RestartPolicy: { Condition: 'any', Delay: 0, MaxAttempts: 1 },
    },
  }));
  await world.clock.advance(60_000);
  t.is(world.state(), 'paused');
  t.deepEqual(world.images(), ['v1', 'v1', 'v1', 'v1']);
  await world.stop();
});

test('an update that corrects a bad spec waits out no back-off of it', async (t) => {
  const world = await running({ update: { Parallelism: 1, FailureAction: 'continue' } });
  await world.image('bad');
  await world.clock.advance(60_000);
  t.is(world.up().length, 0);
  await world.update((spec) => ({
    ...spec,
    UpdateConfig: { Parallelism: 0 },
    TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image: 'v1' } },
  }));
  await world.clock.advance(1000);
  t.is(world.up().length, 4);
  await world.stop();
});

const SEEDS = 120;

/** Runs an update that goes wrong in some way, and its rollback. @returns what is wrong, if anything */
async function run(seed: number): Promise<string | undefined> {
  const random = generator(seed);
  const pick = <T>(...choices: readonly T[]): T => choices[random(choices.length)] as T;
  const replicas = 1 + random(6);
  const update: UpdateConfig = {
    Parallelism: random(5),
    Order: pick(...orders),
    FailureAction: pick('rollback', 'rollback', 'pause', 'continue'),
    MaxFailureRatio: pick(0, 0.3, 0.6),
    Monitor: pick(1, 5) * SECOND,
    Delay: pick(0, 0, 2) * SECOND,
  };
  const rollback = { ...update, Parallelism: random(4), Order: pick(...orders) };
  const fates: readonly Behaviour[] = [
    {},
    {},
    { end: 'failed', endAfterMs: 300 + random(3000) },
    { end: 'failed', endAfterMs: 300 + random(9000) },
    { end: 'rejected' },
    { ready: false },
    { holdAt: 'preparing' },
  ];
  const byTask = new Map<string, Behaviour>();
  const bad = (task: Task): Behaviour => {
    const fate = byTask.get(task.ID) ?? (fates[random(fates.length)] as Behaviour);
    byTask.set(task.ID, fate);
    return fate;
  };
  const delayS = pick(0, 5, 20);
  const stopMs = pick(20, 500, 8000);
  const world = await running({ replicas, update, rollback, delayS, bad, stopMs });

  const p = rollback.Parallelism;
  const log: string[] = [];
  let floor = 0;
  let served = new Set<string>();
  let isBack = false;
  let fault: string | undefined;
  world.store.watch(() => {
    const up = new Set(world.up().map(({ ID }) => ID));
    const spec = world.store.get('service', 'web')?.Spec;
    // What is rolled back to must work; a failed rollback stops what runs, as its settings say.
    const isToGood = spec?.TaskTemplate.ContainerSpec?.Image === 'v1';
    const isBackNow = isToGood && world.state() === 'rollback_started';
    if (isBackNow && !isBack) floor = up.size;
    else if (isBackNow) {
      // What fails by itself is not the rollback's doing.
      const fell = [...served].filter((id) => {
        const task = world.store.get('task', id);
        return !up.has(id) && task?.DesiredState === 'running' && task.Status.State === 'failed';
      });
      floor -= fell.length;
    }
    isBack = isBackNow;
    served = up;
    const least = p === 0 ? 0 : Math.min(floor, replicas - p);
    if (isBackNow && up.size < least) fault ??= `${up.size} up, not ${least}`;
  });
  await world.image('v2');
  for (let steps = 1 + random(4); steps > 0; steps--) {
    await world.clock.advance(random(8000));
    const what = pick('roll back', 'fail over', 'next', 'wait', 'wait');
    log.push(what);
    if (what === 'fail over') await world.failOver();
    else if (what === 'next') await world.image(`v${3 + random(100)}`);
    else if (what === 'roll back') await world.rollBack().catch(() => {});
  }
  await world.clock.advance(60_000);
  // In the end the good spec is back, whatever was tried.
  await world.rollBack(1).catch(() => {});
  await world.clock.advance(5 * 60_000);
  const images = world.images();
  if (images.length !== replicas || images.some((image) => image !== 'v1'))
    fault ??= `ends with ${images.join(', ')} of ${replicas}; ${world.state()}: ${world.message()}`;
  await world.stop();
  const setup = JSON.stringify({ replicas, update, rollback, delayS, stopMs });
  return fault && `seed ${seed}: ${fault}; ${log.join(', ')}; ${setup}`;
}

test('a rollback never goes below what serves when it begins', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) t.is(await run(seed), undefined);
});
