import { type Node, SECOND, type Task, type TaskSpec, type UpdateConfig } from '@swarm/api';
import test from 'ava';
import { ingressDraft, nodeDraft, put, serviceDraft } from '../support/objects.js';
import { OrchestratorWorld } from './world.js';

const CPU = 1e9;
const orders = ['stop-first', 'start-first'] as const;
const HOST_PORT = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 8080,
  PublishMode: 'host',
} as const;

interface Setup {
  readonly replicas?: number;
  readonly update?: UpdateConfig;
  readonly template?: Partial<TaskSpec>;
  readonly isGlobal?: boolean;
  readonly node?: Partial<Node>;
  readonly port?: boolean;
}

/** Two nodes with 4 CPUs each, and a service that the real scheduler placed. */
async function running(setup: Setup): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  world.schedules = true;
  await put(world.store, 'network', ingressDraft());
  for (const [at, id] of ['n1', 'n2'].entries()) {
    const Mesh = { Index: at + 1, Address: `198.18.0.${at + 1}`, Subnet: `10.240.${at + 1}.0/24` };
    await put(world.store, 'node', nodeDraft(id, { Mesh, ...setup.node }));
  }
  await world.service({
    Mode:
      setup.isGlobal === true ? { Global: {} } : { Replicated: { Replicas: setup.replicas ?? 2 } },
    TaskTemplate: {
      ContainerSpec: { Image: 'v1' },
      ForceUpdate: 0,
      RestartPolicy: { Condition: 'any', Delay: 0 },
      ...setup.template,
    },
    UpdateConfig: { Parallelism: 1, ...setup.update, Monitor: SECOND },
    ...(setup.port === true && { EndpointSpec: { Ports: [HOST_PORT] } }),
  });
  if (setup.port === true) world.ports = [HOST_PORT];
  await world.start();
  await world.clock.advance(1000);
  return world;
}

const change = (world: OrchestratorWorld, template: Partial<TaskSpec>) =>
  world.update((spec) => ({
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, ContainerSpec: { Image: 'v2' }, ...template },
  }));

const waiting = (world: OrchestratorWorld): Task | undefined =>
  world.live().find(({ Status }) => Status.State === 'pending');

for (const Order of orders) {
  test(`${Order}: a task stops where its replacement needs its place under the limit per node`, async (t) => {
    const world = await running({
      update: { Parallelism: 1, Order },
      template: { Placement: { MaxReplicas: 1 } },
    });
    world.watchUp();
    await change(world, {});
    await world.clock.advance(20_000);
    t.deepEqual(world.images(), ['v2', 'v2']);
    t.is(world.state(), 'completed');
    t.is(world.leastUp, 1);
    await world.stop();
  });

  test(`${Order}: a task stops where its replacement needs its host port`, async (t) => {
    const world = await running({ update: { Parallelism: 1, Order }, port: true });
    world.watchUp();
    await change(world, {});
    await world.clock.advance(20_000);
    t.deepEqual(world.images(), ['v2', 'v2']);
    t.is(world.leastUp, 1);
    await world.stop();
  });

  for (const parallelism of [0, 1, 2]) {
    test(`${Order}, ${parallelism} at once: a task on a paused node is not stopped for room that nobody may use`, async (t) => {
      const world = await running({
        update: { Order, Parallelism: parallelism },
        template: { Placement: { MaxReplicas: 1 } },
      });
      world.watchUp();
      await world.availability('n2', 'pause');
      await change(world, {});
      await world.clock.advance(60_000);
      const up = world.up().map(({ NodeID, Spec }) => `${NodeID} ${Spec.ContainerSpec?.Image}`);
      // With one at a time, the slot on n2 may come first: the other one waits for it.
      const first = parallelism === 1 && up.includes('n1 v1') ? 'n1 v1' : 'n1 v2';
      t.deepEqual(up.sort(), [first, 'n2 v1']);
      t.true(world.leastUp >= 1, 'n1 makes room for its own replacement');
      t.regex(waiting(world)?.Status.Err ?? '', /1 node not available for new tasks/);
      // Activating the node is all that it takes.
      await world.availability('n2', 'active');
      await world.clock.advance(20_000);
      t.deepEqual(world.images(), ['v2', 'v2']);
      await world.stop();
    });
  }
}

const reservation = (NanoCPUs: number) => ({ Resources: { Reservations: { NanoCPUs } } });

/** What stopping a task does not change. */
const bars: Readonly<Record<string, { setup?: Setup; next: Partial<TaskSpec> }>> = {
  'more CPUs than any node has': {
    setup: { template: reservation(CPU) },
    next: reservation(5 * CPU),
  },
  'another platform': {
    next: { Placement: { Platforms: [{ Architecture: 'arm64', OS: 'linux' }] } },
  },
  'constraints that no node meets, and a full node besides': {
    setup: { template: reservation(4 * CPU) },
    next: { ...reservation(4 * CPU), Placement: { Constraints: ['node.labels.disk==ssd'] } },
  },
  'a plugin that no node has': { next: { LogDriver: { Name: 'fluentd' } } },
  'a runtime that no node has': { next: { ContainerSpec: { Image: 'host', Command: ['true'] } } },
};

for (const [what, { setup = {}, next }] of Object.entries(bars)) {
  for (const isGlobal of [false, true]) {
    // Nothing of a global service runs where its constraints are not met.
    if (isGlobal && next.Placement?.Constraints !== undefined) continue;
    const kind = isGlobal ? 'global' : 'replicated';
    test(`${kind}: an update that wants ${what} stops nothing`, async (t) => {
      const node = {
        ...nodeDraft('n1').Description!,
        Engine: { EngineVersion: '1', Plugins: [{ Type: 'Log', Name: 'json-file' }] },
      };
      const world = await running({ ...setup, isGlobal, node: { Description: node } });
      world.watchUp();
      await change(world, next);
      await world.clock.advance(5 * 60_000);
      t.is(world.leastUp, 2);
      t.deepEqual(world.images(), ['v1', 'v1']);
      t.not(waiting(world)?.Status.Err, undefined);
      await world.stop();
    });
  }
}

test('a task makes room for a replacement that reserves more, once another service has left', async (t) => {
  const world = await running({ template: reservation(2 * CPU) });
  const other = serviceDraft(
    'other',
    {},
    {
      Mode: { Replicated: { Replicas: 2 } },
      TaskTemplate: {
        ContainerSpec: { Image: 'other' },
        ForceUpdate: 0,
        RestartPolicy: { Condition: 'none' },
        ...reservation(2 * CPU),
      },
    },
  );
  await put(world.store, 'service', other);
  await world.clock.advance(1000);
  t.is(world.up('other').length, 2);
  await change(world, reservation(3 * CPU));
  await world.clock.advance(60_000);
  t.deepEqual(world.images(), ['v1', 'v1']);
  // No event of the other service leads to this one.
  const outdated = world.live().find(({ Slot, NodeID }) => Slot === waiting(world)?.Slot && NodeID);
  const [beside] = world.up('other').filter(({ NodeID }) => NodeID === outdated?.NodeID);
  await world.status(beside?.ID ?? '', 'complete');
  await world.clock.advance(20_000);
  t.deepEqual(world.images().sort(), ['v1', 'v2']);
  await world.stop();
});

test('a task on a draining node serves on while the only other node is full', async (t) => {
  const world = await running({ replicas: 2, template: reservation(4 * CPU) });
  world.watchUp();
  await world.availability('n2', 'drain');
  await world.clock.advance(5 * 60_000);
  t.is(world.leastUp, 2);
  t.regex(waiting(world)?.Status.Err ?? '', /insufficient resources on 1 node/);
  await world.stop();
});
