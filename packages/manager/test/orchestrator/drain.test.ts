import type { UpdateConfig } from '@swarm/api';
import test from 'ava';
import { OrchestratorWorld } from './world.js';

async function running(replicas: number, update?: UpdateConfig): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  await world.nodes('n1');
  await world.service({
    Mode: { Replicated: { Replicas: replicas } },
    ...(update !== undefined && { UpdateConfig: update }),
  });
  await world.start();
  await world.clock.advance(1000);
  await world.nodes('n2', 'n3');
  return world;
}

test('a drained node hands over its tasks one at a time', async (t) => {
  const world = await running(4);
  world.watchUp();
  await world.availability('n1', 'drain');
  await world.clock.advance(5000);
  t.is(world.up().length, 4);
  t.false(world.up().some((task) => task.NodeID === 'n1'));
  t.is(world.leastUp, 3);
  t.is(world.mostUp, 4);
  await world.stop();
});

test('with start-first order a drain takes nothing down', async (t) => {
  const world = await running(4, { Parallelism: 1, Order: 'start-first' });
  world.watchUp();
  await world.availability('n1', 'drain');
  await world.clock.advance(5000);
  t.is(world.up().length, 4);
  t.false(world.up().some((task) => task.NodeID === 'n1'));
  t.is(world.leastUp, 4);
  await world.stop();
});

test('tasks that no other node can take keep serving on a drained node', async (t) => {
  const world = await running(2);
  world.behaviour = (task) =>
    task.NodeID === undefined
      ? { unplaced: 'no suitable node (3 nodes not available for new tasks)' }
      : {};
  await world.availability('n1', 'drain');
  await world.clock.advance(120_000);
  t.deepEqual(
    world.up().map((task) => task.NodeID),
    ['n1', 'n1'],
  );
  world.behaviour = () => ({});
  await world.clock.advance(5000);
  await world.setNode('n2', (node) => ({ ...node, Spec: { ...node.Spec, Labels: { x: 'y' } } }));
  await world.clock.advance(5000);
  t.deepEqual(
    world
      .up()
      .map((task) => task.NodeID)
      .sort(),
    ['n2', 'n3'],
  );
  await world.stop();
});

test('a cancelled drain keeps the tasks that have not moved', async (t) => {
  const world = await running(2);
  const before = world
    .up()
    .map((task) => task.ID)
    .sort();
  world.behaviour = (task) => (before.includes(task.ID) ? {} : { holdAt: 'preparing' });
  await world.availability('n1', 'drain');
  await world.clock.advance(1000);
  t.is(world.live().length, 4);
  await world.availability('n1', 'active');
  await world.clock.advance(1000);
  t.deepEqual(
    world
      .live()
      .map((task) => task.ID)
      .sort(),
    before,
  );
  await world.stop();
});

test('a paused node keeps its tasks', async (t) => {
  const world = await running(2);
  const before = world.up().map((task) => task.ID);
  await world.availability('n1', 'pause');
  await world.clock.advance(60_000);
  t.deepEqual(
    world.up().map((task) => task.ID),
    before,
  );
  await world.stop();
});

test('replacements do not wait for a node that goes down while it is drained', async (t) => {
  const world = await running(2);
  world.behaviour = (task) => (task.NodeID === 'n1' ? { lingers: true } : {});
  await world.availability('n1', 'drain');
  await world.clock.advance(300);
  await world.nodeState('n1', 'down');
  await world.clock.advance(1000);
  t.is(world.up().filter((task) => task.NodeID !== 'n1').length, 2);
  await world.stop();
});
