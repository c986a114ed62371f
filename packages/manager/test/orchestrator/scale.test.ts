import test from 'ava';
import { OrchestratorWorld } from './world.js';

const RUNNING = { State: 'running', Timestamp: '1970-01-01T00:00:00Z', Message: '' } as const;

/** A service spread over zones, with a task in a slot of its own for each entry. */
async function spread(
  nodes: Readonly<Record<string, { zone: string; rack?: string }>>,
  tasks: readonly string[],
): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  for (const [id, labels] of Object.entries(nodes)) {
    await world.nodes(id);
    await world.setNode(id, (node) => ({ ...node, Spec: { ...node.Spec, Labels: labels } }));
  }
  const by = (SpreadDescriptor: string) => ({ Spread: { SpreadDescriptor } });
  await world.service({
    Mode: { Replicated: { Replicas: tasks.length } },
    TaskTemplate: {
      ContainerSpec: { Image: 'nginx' },
      ForceUpdate: 0,
      Placement: { Preferences: [by('node.labels.zone'), by('node.labels.rack')] },
    },
  });
  for (const [index, NodeID] of tasks.entries())
    await world.task(`t${index + 1}`, { Slot: index + 1, NodeID, Status: RUNNING });
  await world.start({ idle: true });
  await world.clock.advance(1);
  return world;
}

function counts(world: OrchestratorWorld, label: 'zone' | 'rack'): Record<string, number> {
  const result: Record<string, number> = {};
  for (const { NodeID } of world.live()) {
    const name = world.store.get('node', NodeID ?? '')?.Spec.Labels[label] ?? '';
    result[name] = (result[name] ?? 0) + 1;
  }
  return result;
}

test('what goes is taken from the zones where most are', async (t) => {
  const world = await spread(
    {
      a1: { zone: 'a' },
      a2: { zone: 'a' },
      a3: { zone: 'a' },
      b1: { zone: 'b' },
      c1: { zone: 'c' },
    },
    ['a1', 'a2', 'a3', 'b1', 'b1', 'b1', 'c1', 'c1', 'c1'],
  );
  await world.replicas(4);
  await world.clock.advance(1);
  const { a = 0, b = 0, c = 0 } = counts(world, 'zone');
  t.deepEqual([a, b, c].sort(), [1, 1, 2]);
  await world.replicas(3);
  await world.clock.advance(1);
  t.deepEqual(counts(world, 'zone'), { a: 1, b: 1, c: 1 });
  await world.stop();
});

test('below a zone the racks are levelled, and below a rack the nodes', async (t) => {
  const world = await spread(
    {
      a1: { zone: 'a', rack: '1' },
      a2: { zone: 'a', rack: '2' },
      b3: { zone: 'b', rack: '3' },
      b4: { zone: 'b', rack: '3' },
    },
    ['a1', 'a1', 'a1', 'a2', 'b3', 'b3', 'b3', 'b4'],
  );
  await world.replicas(4);
  await world.clock.advance(1);
  t.deepEqual(counts(world, 'zone'), { a: 2, b: 2 });
  t.deepEqual(
    world
      .live()
      .map(({ NodeID }) => NodeID)
      .sort(),
    ['a1', 'a2', 'b3', 'b4'],
  );
  await world.stop();
});

test('a slot without a node goes first, one that is being replaced counts where it will be', async (t) => {
  const world = await spread({ a1: { zone: 'a' }, b1: { zone: 'b' } }, ['a1', 'a1', 'b1']);
  await world.task('new', { Slot: 3, NodeID: 'b1', DesiredState: 'ready', Status: RUNNING });
  await world.task('none', { Slot: 4, Status: { ...RUNNING, State: 'pending' } });
  await world.replicas(2);
  await world.clock.advance(1);
  t.deepEqual(counts(world, 'zone'), { a: 1, b: 1 });
  await world.stop();
});
