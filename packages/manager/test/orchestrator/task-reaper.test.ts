import type { Cluster, Task } from '@swarm/api';
import test from 'ava';
import { clusterDraft, put } from '../support/objects.js';
import { OrchestratorWorld } from './world.js';

async function setHistory(world: OrchestratorWorld, limit: number): Promise<void> {
  const cluster = clusterDraft('cluster', { Orchestration: { TaskHistoryRetentionLimit: limit } });
  if (world.store.cluster() === undefined) await put(world.store, 'cluster', cluster);
  else {
    await world.store.transact((tx) =>
      tx.update('cluster', { ...(tx.cluster() as Cluster), ...cluster }),
    );
  }
}

/** A task of slot 1 that ended, `age` tasks ago. */
async function ended(
  world: OrchestratorWorld,
  id: string,
  change: Partial<Task> = {},
): Promise<void> {
  await world.clock.advance(1000);
  const Timestamp = new Date(world.clock.now()).toISOString();
  await world.task(id, {
    NodeID: 'n1',
    DesiredState: 'shutdown',
    Status: { State: 'failed', Timestamp, Message: '' },
    ...change,
  });
}

async function withHistory(limit: number, count: number): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await setHistory(world, limit);
  await world.service({ TaskTemplate: { ForceUpdate: 0, RestartPolicy: { Condition: 'any' } } });
  for (let i = 1; i <= count; i++) await ended(world, `t${i}`);
  await world.clock.advance(1000);
  await world.task('live', {
    NodeID: 'n1',
    Status: { State: 'running', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  return world;
}

const ids = (world: OrchestratorWorld) =>
  world
    .tasks()
    .map((task) => task.ID)
    .sort();

test('at the start, ended tasks with desired state REMOVE go, and history above the limit', async (t) => {
  const world = await withHistory(3, 4);
  await ended(world, 'x', { Slot: 2, DesiredState: 'remove' });
  await world.start();
  await world.clock.advance(300);
  t.deepEqual(ids(world), ['live', 't3', 't4']);
  await world.stop();
});

test('the oldest history goes first, and a live task never', async (t) => {
  const some = await withHistory(2, 3);
  await some.start({ idle: true });
  await some.clock.advance(300);
  t.deepEqual(ids(some), ['live', 't3']);
  await some.stop();
  const none = await withHistory(0, 3);
  await none.start({ idle: true });
  await none.clock.advance(300);
  t.deepEqual(ids(none), ['live']);
  await none.stop();
});

test('a negative limit keeps everything; a new limit is obeyed at once', async (t) => {
  const world = await withHistory(-1, 8);
  await world.start();
  await world.clock.advance(1000);
  t.is(ids(world).length, 9);
  await setHistory(world, 2);
  await world.clock.advance(300);
  t.deepEqual(ids(world), ['live', 't8']);
  await world.stop();
});

test('the history does not grow with the attempts, and they are counted all the same', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await setHistory(world, 2);
  await world.service({
    Mode: { Replicated: { Replicas: 2 } },
    TaskTemplate: {
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'any', Delay: 0, MaxAttempts: 60 },
    },
  });
  world.behaviour = () => ({ end: 'failed' });
  await world.start();
  let most = 0;
  let made = 0;
  world.store.watch((change) => {
    most = Math.max(most, world.tasks().length);
    for (const event of change.events)
      if (event.kind === 'task' && event.action === 'create') made++;
  });
  await world.clock.advance(90 * 60_000);
  t.is(made, 120, 'sixty restarts of each slot');
  t.is(world.tasks().length, 4);
  t.true(most <= 6, `${most} tasks at once`);
  await world.stop();
});

test('the last task of a slot stays, so that finished work does not start again', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await setHistory(world, 0);
  await world.service({
    TaskTemplate: { ForceUpdate: 0, RestartPolicy: { Condition: 'on-failure' } },
  });
  await ended(world, 'done', {
    Status: { State: 'complete', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.start();
  await world.clock.advance(60_000);
  t.deepEqual(ids(world), ['done']);
  await world.stop();
});

test('scaling down deletes a task when it has stopped, not before', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service({ Mode: { Replicated: { Replicas: 2 } } });
  await world.start();
  await world.clock.advance(500);
  world.behaviour = () => ({ lingers: true });
  await world.replicas(1);
  await world.clock.advance(5000);
  const [leaving] = world.tasks().filter((task) => task.DesiredState === 'remove');
  t.is(world.tasks().length, 2);
  await world.status(leaving?.ID ?? '', 'shutdown');
  await world.clock.advance(300);
  t.is(world.tasks().length, 1);
  await world.stop();
});

test('tasks to be removed that were never assigned to a node are deleted at once', async (t) => {
  const world = new OrchestratorWorld();
  await world.service({ Mode: { Replicated: { Replicas: 3 } } });
  await world.start();
  await world.clock.advance(500);
  t.deepEqual([...new Set(world.tasks().map((task) => task.Status.State))], ['pending']);
  await world.replicas(0);
  await world.clock.advance(300);
  t.is(world.tasks().length, 0);
  await world.stop();
});

test('tasks to be removed whose node no longer exists are deleted', async (t) => {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service({ Mode: { Replicated: { Replicas: 0 } } });
  await world.task('t1', {
    NodeID: 'n1',
    DesiredState: 'remove',
    Status: { State: 'running', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
  });
  await world.start({ idle: true });
  await world.clock.advance(1000);
  t.is(world.tasks().length, 1);
  await world.removeNode('n1');
  await world.clock.advance(1000);
  t.is(world.tasks().length, 0);
  await world.stop();
});

test('dead tasks are gathered for 250 ms, or up to 1000 slots', async (t) => {
  const world = new OrchestratorWorld();
  await world.service({ Mode: { Replicated: { Replicas: 0 } } });
  await world.start({ idle: true });
  const make = async (from: number, count: number) => {
    for (let i = from; i < from + count; i += 100) {
      await world.store.transact((tx) => {
        for (let slot = i; slot < i + 100; slot++) {
          const [first] = world.store.list('service');
          tx.create('task', {
            ID: `t${slot}`,
            Name: `web.${slot}.t${slot}`,
            Labels: {},
            Spec: first?.Spec.TaskTemplate ?? { ForceUpdate: 0 },
            SpecVersion: { Index: 1 },
            ServiceID: 'web',
            ServiceName: 'web',
            ServiceLabels: {},
            Slot: slot,
            Status: { State: 'failed', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
            DesiredState: 'remove',
            Endpoint: { Ports: [] },
          });
        }
      });
    }
  };
  await make(1, 100);
  await world.clock.advance(200);
  t.is(world.tasks().length, 100);
  await world.clock.advance(100);
  t.is(world.tasks().length, 0);
  await make(1000, 1000);
  await world.clock.advance(1);
  t.is(world.tasks().length, 0);
  await world.stop();
});
