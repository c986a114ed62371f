import { SECOND, type Task, type UpdateConfig } from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

interface Setup {
  readonly replicas?: number;
  readonly update?: UpdateConfig;
  readonly rollback?: UpdateConfig;
  readonly behaviour?: OrchestratorWorld['behaviour'];
}

async function running(setup: Setup = {}): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  if (setup.behaviour !== undefined) world.behaviour = setup.behaviour;
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas: setup.replicas ?? 4 } },
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'any', Delay: 0 },
    },
    ...(setup.update !== undefined && { UpdateConfig: setup.update }),
    ...(setup.rollback !== undefined && { RollbackConfig: setup.rollback }),
  });
  await world.start();
  await world.clock.advance(1000);
  return world;
}

const isImage = (task: Task, image: string) => task.Spec.ContainerSpec?.Image === image;
const all = (image: string, count = 4) => Array.from({ length: count }, () => image);

/** Tasks of the image that are coming up: wanted, not up yet. */
function under(world: OrchestratorWorld, image: string): number {
  return world.live().filter((task) => isImage(task, image) && task.Status.State !== 'running')
    .length;
}

test('an update replaces every task, one after the other by default', async (t) => {
  const world = await running();
  world.watchUp();
  let most = 0;
  world.store.watch(() => {
    most = Math.max(most, under(world, 'v2'));
  });
  await world.image('v2');
  await world.clock.advance(100);
  t.is(world.state(), 'updating');
  t.is(world.message(), 'update in progress');
  await world.clock.advance(4000);
  t.deepEqual(world.images().sort(), ['v1', 'v1', 'v1', 'v2'], 'the first one is watched');
  const watching = 'watching the first tasks for 5s before the others follow';
  t.is(world.message(), `update in progress; ${watching}`);
  await world.clock.advance(4000);
  t.is(world.message(), 'update in progress');
  t.deepEqual(world.images(), all('v2'));
  t.is(most, 1);
  t.is(world.leastUp, 3);
  t.is(world.mostUp, 4, 'stop-first never runs more than the replicas');
  t.is(world.state(), 'updating', 'the last task is still watched');
  await world.clock.advance(5000);
  t.is(world.state(), 'completed');
  t.is(world.message(), 'update completed');
  t.truthy(world.store.get('service', 'web')?.UpdateStatus?.CompletedAt);
  await world.stop();
});

test('parallelism 0 updates all at once, parallelism 2 two', async (t) => {
  for (const Parallelism of [0, 2]) {
    const world = await running({ update: { Parallelism } });
    let most = 0;
    world.store.watch(() => {
      most = Math.max(most, under(world, 'v2'));
    });
    await world.image('v2');
    await world.clock.advance(15_000);
    t.is(most, Parallelism === 0 ? 4 : 2);
    t.is(world.state(), 'completed');
    await world.stop();
  }
});

for (const [Parallelism, Order] of [
  [1, 'stop-first'],
  [2, 'stop-first'],
  [1, 'start-first'],
] as const) {
  test(`a spec whose tasks start and then fail costs one batch of ${Parallelism}, ${Order}`, async (t) => {
    const world = await running({ replicas: 6, update: { Parallelism, Order } });
    world.behaviour = (task) => (isImage(task, 'v2') ? { end: 'failed', endAfterMs: 4000 } : {});
    await world.image('v2');
    await world.clock.advance(4000);
    await world.failOver();
    await world.clock.advance(30_000);
    t.is(world.state(), 'paused');
    const bad = world.tasks().filter((task) => isImage(task, 'v2'));
    t.is(new Set(bad.map((task) => task.Slot)).size, Parallelism);
    t.deepEqual(world.images(), all('v1', 6));
    await world.stop();
  });
}

test('where a health check says that the first task works, nothing more is waited for', async (t) => {
  const world = await running({ update: { Parallelism: 1, Monitor: 60 * SECOND } });
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { Image: 'v2', Healthcheck: { Test: ['CMD', 'true'] } },
    },
  }));
  await world.clock.advance(4000);
  t.deepEqual(world.images(), all('v2'));
  await world.stop();
});

test('a rollback to what completed before does not watch its first tasks', async (t) => {
  const world = await running();
  await world.clock.advance(10_000);
  await world.image('v2');
  await world.clock.advance(30_000);
  await world.rollBack();
  await world.clock.advance(4000);
  t.deepEqual(world.images(), all('v1'));
  await world.stop();
});

for (const Condition of ['none', 'on-failure'] as const) {
  test(`tasks that end well and are not restarted (${Condition}) complete an update, each run named once`, async (t) => {
    const world = new OrchestratorWorld();
    await world.nodes('n1', 'n2');
    world.behaviour = (task) =>
      isImage(task, 'bad') ? { end: 'failed' } : { end: 'complete', endAfterMs: 50 };
    await world.service({
      Mode: { Replicated: { Replicas: 3 } },
      TaskTemplate: {
        ContainerSpec: { Image: 'v1' },
        ForceUpdate: 0,
        RestartPolicy: { Condition, Delay: 0 },
      },
    });
    await world.start();
    const runs = (image: string) => world.tasks().filter((task) => isImage(task, image)).length;
    await world.clock.advance(10_000);
    t.is(runs('v1'), 3);
    await world.update((spec) => ({ ...spec, Labels: { a: 'b' } }));
    await world.clock.advance(10_000);
    t.is(runs('v1'), 3, 'a label runs nothing');
    await world.replicas(5);
    await world.clock.advance(10_000);
    t.is(runs('v1'), 5, 'a scale-up runs the new slots');
    await world.image('v2');
    await world.clock.advance(30_000);
    t.is(world.state(), 'completed');
    t.is(runs('v2'), 5);
    if (Condition === 'none') {
      await world.image('bad');
      await world.clock.advance(30_000);
      t.is(world.state(), 'paused');
      t.is(runs('bad'), 1);
      await world.rollBack();
      await world.clock.advance(30_000);
      t.is(world.state(), 'rollback_completed');
      t.is(runs('v2'), 6, 'only what was replaced runs again');
    }
    await world.stop();
  });
}

test('the delay runs between slots of one worker', async (t) => {
  const world = await running({ update: { Parallelism: 1, Delay: 10 * SECOND } });
  await world.image('v2');
  await world.clock.advance(9000);
  t.deepEqual(world.images().sort(), ['v1', 'v1', 'v1', 'v2']);
  await world.clock.advance(10_000);
  t.deepEqual(world.images().sort(), ['v1', 'v1', 'v2', 'v2']);
  await world.stop();
});

test('start-first has the new task serve before the old one stops', async (t) => {
  const world = await running({ update: { Parallelism: 1, Order: 'start-first' } });
  world.watchUp();
  await world.image('v2');
  await world.clock.advance(10_000);
  t.deepEqual(world.images(), all('v2'));
  t.is(world.leastUp, 4);
  t.is(world.mostUp, 5);
  await world.stop();
});

test('stop-first stops the old task only when the new one is prepared', async (t) => {
  const world = await running({ replicas: 1 });
  let holdAt: 'preparing' | undefined = 'preparing';
  world.behaviour = (task) => (isImage(task, 'v2') && holdAt !== undefined ? { holdAt } : {});
  await world.image('v2');
  await world.clock.advance(120_000);
  t.deepEqual(world.images(), ['v1'], 'the image is still being pulled');
  t.deepEqual(
    world
      .live()
      .map((task) => task.DesiredState)
      .sort(),
    ['ready', 'running'],
  );
  holdAt = undefined;
  const pulled = world.live().find((task) => isImage(task, 'v2'));
  await world.status(pulled?.ID ?? '', 'ready');
  await world.clock.advance(500);
  t.deepEqual(world.images(), ['v2']);
  await world.stop();
});

test('stop-first goes on after 30 s when its replacement makes no progress', async (t) => {
  const world = await running({ replicas: 1 });
  world.behaviour = (task) => (isImage(task, 'v2') ? { holdAt: 'assigned' } : {});
  await world.image('v2');
  await world.clock.advance(29_000);
  t.is(world.up().length, 1);
  await world.clock.advance(2000);
  t.is(world.up().length, 0);
  await world.stop();
});

test('a replacement that no node will take stops nothing, says what it waits for, and fails after 10 minutes', async (t) => {
  const world = await running({ replicas: 1 });
  const unplaced = 'no suitable node (scheduling constraints not satisfied on 2 nodes)';
  world.behaviour = (task) => (isImage(task, 'v2') ? { unplaced } : {});
  await world.image('v2');
  await world.clock.advance(9 * 60_000);
  const task = world.live().find((one) => isImage(one, 'v2'));
  t.is(world.message(), `update in progress; waiting for task ${task?.ID}: ${unplaced}`);
  t.is(world.state(), 'updating');
  await world.clock.advance(2 * 60_000);
  t.is(world.state(), 'paused');
  t.is(world.message(), `update paused due to failure or early termination of task ${task?.ID}`);
  t.deepEqual(world.images(), ['v1']);
  await world.stop();
});

test('a replacement that the allocator cannot serve stops nothing', async (t) => {
  const world = await running({ replicas: 1 });
  world.behaviour = (task) => (isImage(task, 'v2') ? { holdAt: 'new' } : {});
  await world.image('v2');
  await world.clock.advance(100);
  const task = world.live().find((one) => isImage(one, 'v2'));
  await world.status(task?.ID ?? '', 'new', { Err: 'port 80 is in use' });
  await world.clock.advance(120_000);
  t.deepEqual(world.images(), ['v1']);
  t.is(world.message(), `update in progress; waiting for task ${task?.ID}: port 80 is in use`);
  await world.stop();
});

test('an update waits for a task that runs but does not listen, then goes on and says so', async (t) => {
  const world = await running({ replicas: 2, update: { Parallelism: 1, Order: 'start-first' } });
  world.behaviour = (task) => (isImage(task, 'v2') ? { ready: false } : {});
  await world.image('v2');
  await world.clock.advance(5000);
  t.deepEqual(world.images(), ['v1', 'v1']);
  t.regex(world.message() ?? '', /; waiting for task \w+ to listen on its ports$/);
  await world.clock.advance(6000);
  t.deepEqual(world.images(), ['v1']);
  await world.clock.advance(30_000);
  t.is(world.state(), 'completed');
  await world.stop();
});

/** v1 listens on its ports, v2 does not. */
const deafens = (task: Task) => ({ ready: isImage(task, 'v1') });

for (const Order of ['start-first', 'stop-first'] as const) {
  test(`${Order}: a task that does not listen where the one before it did is a failure`, async (t) => {
    const world = await running({
      replicas: 2,
      update: { Parallelism: 1, Order, FailureAction: 'rollback', Monitor: SECOND },
      behaviour: deafens,
    });
    world.watchUp();
    await world.image('v2');
    await world.clock.advance(110_000);
    t.is(world.state(), 'updating', 'a slow starter is waited for');
    await world.clock.advance(60_000);
    t.is(world.state(), 'rollback_completed');
    t.deepEqual(world.images(), all('v1', 2));
    t.is(world.leastUp, Order === 'start-first' ? 2 : 1);
    await world.stop();
  });

  test(`${Order}: the pause after a task that does not listen keeps what serves`, async (t) => {
    const world = await running({
      replicas: 2,
      update: { Parallelism: 1, Order, Monitor: SECOND },
      behaviour: deafens,
    });
    await world.image('v2');
    await world.clock.advance(150_000);
    t.is(world.state(), 'paused');
    t.regex(world.message() ?? '', /of task \w{25}; it runs but does not listen on its ports$/);
    t.deepEqual(world.images(), all('v1', Order === 'start-first' ? 2 : 1));
    await world.stop();
  });
}

for (const [FailureAction, MaxFailureRatio, expected] of [
  ['pause', 0, 'paused'],
  ['pause', 0.5, 'completed'],
  ['rollback', 0, 'rollback_completed'],
  ['rollback', 0.5, 'completed'],
  ['continue', 0, 'completed'],
] as const) {
  test(`failure action ${FailureAction} with ratio ${MaxFailureRatio}, one of four fails: ${expected}`, async (t) => {
    const world = await running({
      update: { Parallelism: 1, FailureAction, MaxFailureRatio, Monitor: 2 * SECOND },
      rollback: { Parallelism: 0, Monitor: SECOND },
    });
    world.behaviour = (task) =>
      isImage(task, 'v2') && task.Slot === 2 ? { end: 'failed', endAfterMs: 30 } : {};
    await world.image('v2');
    await world.clock.advance(60_000);
    t.is(world.state(), expected);
    if (expected === 'rollback_completed') t.deepEqual(world.images(), all('v1'));
    if (expected === 'paused') {
      t.regex(
        world.message() ?? '',
        /^update paused due to failure or early termination of task \w{25}$/,
      );
      t.true(world.images().includes('v1'), 'slots after the failed one are left alone');
    }
    if (expected === 'completed') t.false(world.images().includes('v1'));
    await world.stop();
  });
}

test('a failure after the monitor time does not count against the update', async (t) => {
  const world = await running({ update: { Parallelism: 1, Monitor: SECOND } });
  world.behaviour = (task) =>
    isImage(task, 'v2') && task.Slot === 1 ? { end: 'failed', endAfterMs: 1500 } : {};
  await world.image('v2');
  await world.clock.advance(20_000);
  t.is(world.state(), 'completed');
  await world.stop();
});

test('a missing image does not stop a running task, in both orders', async (t) => {
  for (const Order of ['stop-first', 'start-first'] as const) {
    const world = await running({ update: { Parallelism: 2, Order } });
    world.watchUp();
    world.behaviour = (task) => (isImage(task, 'v2') ? { end: 'rejected' } : {});
    await world.image('v2');
    await world.clock.advance(60_000);
    t.is(world.state(), 'paused');
    t.is(world.leastUp, 4, Order);
    t.deepEqual(world.images(), all('v1'));
    t.is(world.live().length, 4, 'nothing of the paused update is left waiting');
    await world.stop();
  }
});

test('a manual rollback swaps the specs and says that it is manual', async (t) => {
  const world = await running({ update: { Parallelism: 0 } });
  await world.image('v2');
  await world.clock.advance(10_000);
  await world.rollBack();
  await world.clock.advance(300);
  t.is(world.state(), 'rollback_started');
  t.is(world.message(), 'manually requested rollback');
  await world.clock.advance(10_000);
  t.is(world.state(), 'rollback_completed');
  t.is(world.message(), 'rollback completed');
  t.deepEqual(world.images(), all('v1'));
  await world.stop();
});

test('a manual rollback during an update keeps the tasks that were not replaced', async (t) => {
  const world = await running({ update: { Parallelism: 1, Delay: 10 * SECOND } });
  const before = new Set(world.up().map((task) => task.ID));
  await world.image('v2');
  await world.clock.advance(5000);
  await world.rollBack();
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), all('v1'));
  t.is(world.up().filter((task) => before.has(task.ID)).length, 3);
  t.is(world.state(), 'rollback_completed');
  await world.stop();
});

test('a rollback that fails is paused and stays so', async (t) => {
  const world = await running({
    update: { Parallelism: 0, FailureAction: 'rollback' },
    rollback: { Parallelism: 1, FailureAction: 'rollback' },
  });
  let isBroken = false;
  world.behaviour = (task) => {
    if (isImage(task, 'v2')) {
      isBroken = true;
      return { end: 'failed', endAfterMs: 100 };
    }
    return isBroken && task.Status.State !== 'running' ? { end: 'rejected' } : {};
  };
  await world.image('v2');
  await world.clock.advance(10 * 60_000);
  t.is(world.state(), 'rollback_paused');
  t.regex(
    world.message() ?? '',
    /^rollback paused due to failure or early termination of task \w{25}$/,
  );
  await world.stop();
});

test('a new update supersedes the running one', async (t) => {
  const world = await running({ update: { Parallelism: 1 } });
  world.behaviour = (task) => (isImage(task, 'v2') ? { holdAt: 'starting' } : {});
  await world.image('v2');
  await world.clock.advance(2000);
  t.is(world.images().length, 3);
  await world.image('v3');
  await world.clock.advance(20_000);
  t.deepEqual(world.images(), all('v3'));
  t.is(world.state(), 'completed');
  t.false(world.live().some((task) => isImage(task, 'v2')));
  await world.stop();
});

test('a new leader continues the update where the old one stopped', async (t) => {
  const world = await running({ replicas: 3, update: { Parallelism: 1, Delay: 2 * SECOND } });
  let most = 0;
  world.watchUp();
  world.store.watch(() => {
    most = Math.max(most, under(world, 'v2'));
  });
  await world.image('v2');
  for (let i = 0; i < 40; i++) {
    await world.clock.advance(330);
    await world.failOver();
  }
  await world.clock.advance(10_000);
  t.deepEqual(world.images(), all('v2', 3));
  t.is(world.state(), 'completed');
  t.is(most, 1);
  t.is(world.leastUp, 2);
  await world.stop();
});

test('other labels, replicas and update settings restart nothing', async (t) => {
  const world = await running();
  const before = world.up().map((task) => task.ID);
  await world.update((spec) => ({
    ...spec,
    Labels: { a: 'b' },
    UpdateConfig: { Parallelism: 3 },
    Mode: { Replicated: { Replicas: 5 } },
  }));
  await world.clock.advance(5000);
  t.is(world.up().filter((task) => before.includes(task.ID)).length, 4);
  t.is(world.up().length, 5);
  t.is(world.state(), undefined);
  await world.stop();
});

test('new constraints move only the tasks whose node does not satisfy them', async (t) => {
  const world = await running();
  const stay = world.up().filter((task) => task.NodeID === 'n1');
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, Placement: { Constraints: ['node.id != n2'] } },
  }));
  await world.clock.advance(20_000);
  t.is(world.up().length, 4);
  t.true(world.up().every((task) => task.NodeID === 'n1'));
  for (const task of stay) t.is(world.store.get('task', task.ID)?.Status.State, 'running');
  await world.stop();
});

test('force replaces every task of an unchanged spec', async (t) => {
  const world = await running({ update: { Parallelism: 0 } });
  const before = world.up().map((task) => task.ID);
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: 1 },
  }));
  await world.clock.advance(10_000);
  t.false(world.up().some((task) => before.includes(task.ID)));
  t.is(world.up().length, 4);
  await world.stop();
});

test('tasks that completed and are not restarted are updated too', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service({
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'none' },
    },
    UpdateConfig: { Parallelism: 1, FailureAction: 'continue' },
  });
  world.behaviour = () => ({ end: 'complete', endAfterMs: 100 });
  await world.start();
  await world.clock.advance(5000);
  await world.image('v2');
  await world.clock.advance(20_000);
  t.deepEqual(
    world
      .tasks()
      .map((task) => task.Spec.ContainerSpec?.Image)
      .sort(),
    ['v1', 'v2'],
  );
  t.is(world.state(), 'completed');
  await world.stop();
});

test('an old task that does not stop holds the new one back for its grace period and 30 s', async (t) => {
  const world = await running({ replicas: 1 });
  world.behaviour = (task) => (isImage(task, 'v1') ? { lingers: true } : {});
  await world.image('v2');
  await world.clock.advance(39_000);
  t.is(world.live()[0]?.DesiredState, 'ready');
  await world.clock.advance(3000);
  t.is(world.live()[0]?.DesiredState, 'running');
  await world.stop();
});

test('a clock that is set back an hour neither stalls an update nor costs a task', async (t) => {
  for (const Order of ['start-first', 'stop-first'] as const) {
    const world = await running({
      replicas: 2,
      update: { Parallelism: 1, Order, Monitor: 5 * SECOND },
    });
    world.clock.offsetMs = -3_600_000;
    world.watchUp();
    await world.image('v2');
    await world.clock.advance(100);
    t.is(world.state(), 'updating');
    await world.clock.advance(2000);
    t.is(world.state(), 'updating', 'the monitor time is waited for');
    await world.clock.advance(20_000);
    t.is(world.state(), 'completed');
    t.deepEqual(world.images(), all('v2', 2));
    t.is(world.leastUp, Order === 'start-first' ? 2 : 1);
    await world.stop();
  }
});

test('a task that waits for its restart runs soon though the clock was set back an hour', async (t) => {
  const world = await running({ replicas: 1 });
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      RestartPolicy: { Condition: 'any', Delay: 5 * SECOND },
      ForceUpdate: 1,
    },
  }));
  await world.clock.advance(20_000);
  const [task] = world.up();
  await world.status(task?.ID ?? '', 'failed');
  await world.clock.advance(1000);
  world.clock.offsetMs = -3_600_000;
  await world.clock.advance(4000);
  t.is(world.up().length, 0);
  await world.clock.advance(6000);
  t.is(world.up().length, 1);
  await world.stop();
});

for (const Order of ['start-first', 'stop-first'] as const) {
  test(`${Order}: an update goes on when a replacement is lost with its node`, async (t) => {
    const world = await running({ replicas: 2, update: { Parallelism: 1, Order } });
    await world.nodes('n3');
    world.behaviour = (task) => (task.NodeID === 'n3' ? { holdAt: 'assigned' } : {});
    await world.image('v2');
    await world.clock.advance(1000);
    t.true(world.live().some((task) => task.NodeID === 'n3' && isImage(task, 'v2')));
    t.deepEqual(world.images(), all('v1', 2));
    await world.nodeState('n3', 'down');
    await world.clock.advance(30_000);
    t.is(world.state(), 'completed');
    t.deepEqual(world.images(), all('v2', 2));
    await world.stop();
  });
}

test('a pass that removes as many tasks as fit may end the update too', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service({
    Mode: { Replicated: { Replicas: 260 } },
    UpdateConfig: { Parallelism: 0 },
  });
  await world.start();
  await world.clock.advance(20_000);
  await world.image('v2');
  await world.clock.advance(3000);
  t.is(world.state(), 'updating');
  await world.stop();
  await world.replicas(10);
  await world.clock.advance(20_000);
  const { store } = world;
  const transact = store.transact.bind(store);
  const refused: unknown[] = [];
  store.transact = async (build) =>
    await transact(build).catch((error: unknown) => {
      refused.push((error as { code?: string }).code);
      throw error;
    });
  await world.start();
  await world.clock.advance(60_000);
  t.is(world.state(), 'completed');
  t.is(world.up().length, 10);
  t.false(refused.includes('TOO_LARGE'));
  await world.stop();
});
