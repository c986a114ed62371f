import test from 'ava';
import { removalWait } from '../../src/orchestrator/service-removal.js';
import { patch } from '../support/objects.js';
import { OrchestratorWorld } from './world.js';

const replicas = (Replicas: number) => ({ Mode: { Replicated: { Replicas } } });

test('a service gets as many running tasks as replicas, in slots from 1', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service(replicas(3));
  await world.start();
  await world.clock.advance(1000);
  t.deepEqual(
    world
      .up()
      .map((task) => task.Slot)
      .sort(),
    [1, 2, 3],
  );
  for (const task of world.tasks()) {
    t.regex(task.ID, /^[0-9a-z]{25}$/);
    t.is(task.Name, `web.${task.Slot}.${task.ID}`);
    t.is(task.ServiceName, 'web');
  }
  await world.stop();
});

test('a failed write of one service is repeated and holds up no other', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.start();
  await world.service(replicas(2), 'a');
  await world.service(replicas(1), 'b');
  world.store.failNext(new Error('disk is full'));
  await world.clock.advance(2000);
  t.is(world.up('a').length, 2);
  t.is(world.up('b').length, 1);
  await world.stop();
});

test('a deleted task is replaced in its slot', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(2));
  await world.start();
  await world.clock.advance(1000);
  const victim = world.up().find((task) => task.Slot === 1);
  await world.store.transact((tx) => tx.remove('task', victim?.ID ?? ''));
  await world.clock.advance(1000);
  t.deepEqual(
    world
      .up()
      .map((task) => task.Slot)
      .sort(),
    [1, 2],
  );
  await world.stop();
});

test('scaling up takes the lowest free slots', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(3));
  await world.task('t1', { Slot: 1 });
  await world.task('t3', { Slot: 3 });
  await world.start();
  await world.clock.advance(1000);
  t.deepEqual(
    world
      .live()
      .map((task) => task.Slot)
      .sort(),
    [1, 2, 3],
  );
  await world.replicas(5);
  await world.clock.advance(1000);
  t.deepEqual(
    world
      .up()
      .map((task) => task.Slot)
      .sort(),
    [1, 2, 3, 4, 5],
  );
  await world.stop();
});

test('more tasks than one transaction holds are made in several', async (t) => {
  const world = new OrchestratorWorld();
  await world.service(replicas(450));
  await world.start({ idle: true });
  await world.clock.advance(100);
  t.is(world.live().length, 450);
  t.is(new Set(world.live().map((task) => task.Slot)).size, 450);
  await world.stop();
});

test('scaling down removes the copies on the fullest node, what does not run, and high slots first', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2', 'n3');
  await world.service(replicas(7));
  const running = { State: 'running' as const, Timestamp: '1970-01-01T00:00:00Z', Message: '' };
  const pending = { State: 'pending' as const, Timestamp: '1970-01-01T00:00:00Z', Message: '' };
  await world.task('a1', { Slot: 1, NodeID: 'n1', Status: running });
  await world.task('a2', { Slot: 2, NodeID: 'n1', Status: running });
  await world.task('a3', { Slot: 3, NodeID: 'n1', Status: running });
  await world.task('b4', { Slot: 4, NodeID: 'n2', Status: { ...running, State: 'starting' } });
  await world.task('b5', { Slot: 5, NodeID: 'n2', Status: running });
  await world.task('c6', { Slot: 6, NodeID: 'n3', Status: running });
  await world.task('d7', { Slot: 7, Status: pending });
  await world.start({ idle: true });
  const order: string[] = [];
  for (let count = 6; count >= 1; count--) {
    await world.replicas(count);
    await world.clock.advance(1);
    const removed = world
      .tasks()
      .filter((task) => task.DesiredState === 'remove' && !order.includes(task.ID));
    order.push(...removed.map((task) => task.ID));
    await world.clock.advance(1);
  }
  // The one without a node; the third copy; of the second copies the one still starting, then slot 2;
  // finally the first copies, high slots first.
  t.deepEqual(order, ['d7', 'a3', 'b4', 'a2', 'c6', 'b5']);
  await world.stop();
});

test('scaling to zero removes everything, history included', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(3));
  await world.start();
  await world.clock.advance(1000);
  await world.replicas(0);
  await world.clock.advance(2000);
  t.is(world.tasks().length, 0);
  await world.stop();
});

test('at the start, rejected tasks that are still wanted are replaced after the delay', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(1));
  await world.task('t1', {
    NodeID: 'n1',
    Status: { State: 'rejected', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.start();
  await world.clock.advance(1000);
  t.is(world.store.get('task', 't1')?.DesiredState, 'shutdown');
  t.deepEqual(
    world.live().map((task) => [task.Slot, task.DesiredState]),
    [[1, 'ready']],
  );
  await world.clock.advance(5000);
  t.is(world.up().length, 1);
  await world.stop();
});

test('at the start, failed tasks that are no longer wanted do not count', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(2));
  await world.task('t1', {
    NodeID: 'n1',
    DesiredState: 'shutdown',
    Status: { State: 'failed', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.task('t2', {
    NodeID: 'n1',
    Slot: 2,
    Status: { State: 'failed', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.start();
  await world.clock.advance(6000);
  t.deepEqual(
    world
      .up()
      .map((task) => task.Slot)
      .sort(),
    [1, 2],
  );
  await world.stop();
});

test('at the start, tasks on a node that is down are replaced elsewhere at once', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.nodeState('n1', 'down');
  await world.service(replicas(1));
  await world.task('t1', {
    NodeID: 'n1',
    Status: { State: 'running', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.start();
  await world.clock.advance(200);
  t.is(world.store.get('task', 't1')?.DesiredState, 'shutdown');
  t.deepEqual(
    world
      .up()
      .filter((task) => task.ID !== 't1')
      .map((task) => task.NodeID),
    ['n2'],
  );
  await world.stop();
});

test('at the start, a task that waited for its restart delay goes on waiting, not longer', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(1));
  await world.task('old', {
    NodeID: 'n1',
    DesiredState: 'shutdown',
    Status: { State: 'failed', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.clock.advance(10);
  await world.task('new', {
    NodeID: 'n1',
    DesiredState: 'ready',
    Status: { State: 'ready', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
    Restart: {
      Attempts: 1,
      Failures: 1,
      NotBefore: new Date(world.clock.now() + 5000).toISOString(),
    },
  });
  await world.clock.advance(2000);
  await world.start({ idle: true });
  await world.clock.advance(2990);
  t.is(world.store.get('task', 'new')?.DesiredState, 'ready');
  await world.clock.advance(20);
  t.is(world.store.get('task', 'new')?.DesiredState, 'running');
  await world.stop();
});

test('a node that goes down has its tasks replaced at once; a removed one too', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2', 'n3');
  await world.service(replicas(3));
  await world.start();
  await world.clock.advance(1000);
  await world.nodeState('n1', 'down');
  await world.clock.advance(200);
  t.deepEqual(
    world
      .up()
      .map((task) => task.NodeID)
      .sort()
      .slice(0, 1),
    ['n2'],
  );
  t.is(world.up().length, 3);
  await world.removeNode('n2');
  await world.clock.advance(200);
  t.deepEqual(
    world.up().map((task) => task.NodeID),
    ['n3', 'n3', 'n3'],
  );
  await world.stop();
});

test('orphaned tasks are replaced at once, and that does not count as an attempt', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1', 'n2');
  await world.service({
    TaskTemplate: { ForceUpdate: 0, RestartPolicy: { Condition: 'on-failure', MaxAttempts: 1 } },
  });
  await world.start();
  await world.clock.advance(500);
  for (let i = 0; i < 3; i++) {
    const [task] = world.up();
    await world.status(task?.ID ?? '', 'orphaned');
    await world.clock.advance(300);
    t.is(world.up().length, 1);
    t.is(world.up()[0]?.Restart, undefined);
  }
  await world.stop();
});

test('a service that is being deleted keeps its name until its last task is gone', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service(replicas(2));
  await world.start();
  await world.clock.advance(1000);
  let lingers = true;
  world.behaviour = () => ({ lingers });
  await world.store.transact((tx) => {
    const service = tx.get('service', 'web');
    if (service !== undefined) tx.update('service', { ...service, PendingDelete: true });
  });
  await world.clock.advance(5000);
  t.true(world.tasks().every((task) => task.DesiredState === 'remove'));
  t.is(world.tasks().length, 2);
  t.not(world.store.byName('service', 'web'), undefined);
  lingers = false;
  const [task] = world.tasks();
  await world.status(task?.ID ?? '', 'running');
  await world.clock.advance(2000);
  t.is(world.tasks().length, 0);
  t.is(world.store.byName('service', 'web'), undefined);
  await world.stop();
});

for (const when of ['before', 'after'] as const) {
  test(`a removed service waits for no task on a node that went down ${when} its removal`, async (t) => {
    const world = new OrchestratorWorld();
    await world.nodes('n1', 'n2');
    await world.service(replicas(2));
    await world.start();
    await world.clock.advance(1000);
    world.behaviour = ({ NodeID }) => ({ lingers: NodeID === 'n1' });
    const remove = async (): Promise<void> => {
      await patch(world.store, 'service', 'web', (service) => ({
        ...service,
        PendingDelete: true,
      }));
      await world.clock.advance(1000);
    };
    if (when === 'after') {
      await remove();
      t.not(world.store.byName('service', 'web'), undefined);
      t.regex(removalWait(world.store, 'web'), /its task \w+ still stops on n1: try again/);
    }
    await world.nodeState('n1', 'down');
    await world.clock.advance(500);
    if (when === 'before') await remove();

    t.is(world.store.byName('service', 'web'), undefined);
    const [left, ...others] = world.tasks();
    t.deepEqual([others.length, left?.NodeID, left?.DesiredState], [0, 'n1', 'remove']);

    // What is left belongs to no slot of the next service of this name.
    await world.service(replicas(2), 'web2');
    await world.clock.advance(1000);
    t.deepEqual(
      world.up('web2').map(({ NodeID }) => NodeID),
      ['n2', 'n2'],
    );
    t.true(world.tasks('web2').every(({ Status }) => Status.Err === undefined));

    // A node that comes back stops it, and so it goes.
    await world.nodeState('n1', 'ready');
    world.behaviour = () => ({});
    await world.status(left?.ID ?? '', 'running');
    await world.clock.advance(1000);
    t.is(world.tasks().length, 0);
    await world.stop();
  });
}
