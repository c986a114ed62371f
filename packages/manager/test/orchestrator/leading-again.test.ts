import test from 'ava';
import { OrchestratorWorld } from './world.js';

/** A manager may lose its leadership and gain it again, in one run of its daemon. */
async function twoNodes(): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  world.schedules = true;
  await world.nodes('n1', 'n2');
  await world.service({ Mode: { Replicated: { Replicas: 2 } } });
  await world.start();
  await world.clock.advance(5_000);
  return world;
}

test('tasks of a node that is lost are replaced by a manager that leads again', async (t) => {
  const world = await twoNodes();
  t.is(world.up().length, 2);
  await world.leadAgain();
  await world.nodeState('n1', 'down');
  await world.clock.advance(10_000);
  t.deepEqual(
    world.up().map(({ NodeID }) => NodeID),
    ['n2', 'n2'],
  );
  await world.stop();
});

test('what changed while another manager led is done by one that leads again', async (t) => {
  const world = await twoNodes();
  await world.leadAgain(() => world.replicas(4));
  await world.clock.advance(5_000);
  t.is(world.up().length, 4);
  await world.stop();
});

test('constraints and history are kept by a manager that leads again', async (t) => {
  const world = await twoNodes();
  await world.leadAgain();
  await world.update((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, Placement: { Constraints: ['node.labels.disk != hdd'] } },
  }));
  await world.clock.advance(30_000);
  await world.setNode('n1', (node) => ({
    ...node,
    Spec: { ...node.Spec, Labels: { disk: 'hdd' } },
  }));
  await world.clock.advance(30_000);
  t.deepEqual(
    world.up().map(({ NodeID }) => NodeID),
    ['n2', 'n2'],
  );
  await world.replicas(0);
  await world.clock.advance(30_000);
  t.deepEqual(world.tasks(), [], 'no task of a slot that is gone is left');
  await world.stop();
});
