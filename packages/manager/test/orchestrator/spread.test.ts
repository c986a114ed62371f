import type { Node } from '@swarm/api';
import test from 'ava';
import { generator } from './generator.js';
import { OrchestratorWorld } from './world.js';

const SEEDS = 60;
const STEPS = 14;

interface Setup {
  readonly zones: readonly string[];
  readonly replicas: number;
  readonly isZoned: boolean;
  readonly parallelism: number;
  readonly order: 'stop-first' | 'start-first';
}

async function started(setup: Setup): Promise<OrchestratorWorld> {
  const world = new OrchestratorWorld();
  world.schedules = true;
  for (const [index, zone] of setup.zones.entries()) {
    const id = `n${index}`;
    await world.nodes(id);
    await world.setNode(id, (node) => ({ ...node, Spec: { ...node.Spec, Labels: { zone } } }));
  }
  const Preferences = setup.isZoned ? [{ Spread: { SpreadDescriptor: 'node.labels.zone' } }] : [];
  await world.service({
    Mode: { Replicated: { Replicas: setup.replicas } },
    TaskTemplate: {
      ContainerSpec: { Image: 'v0' },
      ForceUpdate: 0,
      Placement: { Preferences },
      RestartPolicy: { Condition: 'any', Delay: 0 },
    },
    UpdateConfig: { Parallelism: setup.parallelism, Order: setup.order, Monitor: 1e9 },
  });
  await world.start();
  await world.clock.advance(2000);
  return world;
}

const isOpenNode = (node: Node) =>
  node.Spec.Availability === 'active' && node.Status.State === 'ready';

/** Whether branches of one level differ by more than one task, as they never do in a fresh placement. */
function unfair(world: OrchestratorWorld, isZoned: boolean): string | undefined {
  const perNode = new Map<string, number>();
  for (const { NodeID = '' } of world.up()) perNode.set(NodeID, (perNode.get(NodeID) ?? 0) + 1);
  const zones = new Map<string, number[]>();
  for (const node of world.store.list('node')) {
    if (!isOpenNode(node)) continue;
    const zone = isZoned ? (node.Spec.Labels.zone ?? '') : '';
    zones.set(zone, [...(zones.get(zone) ?? []), perNode.get(node.ID) ?? 0]);
  }
  const gap = (counts: readonly number[]) => Math.max(...counts) - Math.min(...counts);
  const sums = [...zones.values()].map((counts) => counts.reduce((sum, one) => sum + one, 0));
  const gaps = [gap(sums), ...[...zones.values()].map(gap)];
  if (gaps.every((one) => one <= 1)) return undefined;
  return JSON.stringify([...zones]);
}

/** Does one thing. @returns whether the spread may be uneven until the next roll-out */
async function step(world: OrchestratorWorld, random: (below: number) => number, at: number) {
  const nodes = [...world.store.list('node')];
  const node = nodes[random(nodes.length)] as Node;
  const open = nodes.filter(isOpenNode);
  switch (random(8)) {
    case 0:
    case 1:
    case 2:
      await world.image(`v${at}`);
      return 'roll-out';
    case 3: {
      const tasks = world.up();
      await world.status(tasks[random(tasks.length)]?.ID ?? '', 'failed');
      return 'restart';
    }
    case 4:
      if (open.length < 2 || !isOpenNode(node)) return 'nothing';
      if (random(2) === 0) await world.availability(node.ID, 'drain');
      else await world.nodeState(node.ID, 'down');
      return 'loss of a node';
    case 5:
      await world.replicas(1 + random(10));
      return 'scale';
    case 6:
      await world.failOver();
      return 'fail-over';
    default:
      if (isOpenNode(node)) return 'nothing';
      await world.nodeState(node.ID, 'ready');
      await world.availability(node.ID, 'active');
      return 'new node';
  }
}

async function run(seed: number): Promise<string | undefined> {
  const random = generator(seed);
  const zones = Array.from({ length: 2 + random(6) }, () => `z${random(3)}`);
  const setup: Setup = {
    zones,
    replicas: 1 + random(9),
    isZoned: seed % 2 === 0,
    parallelism: random(4),
    order: random(2) === 0 ? 'stop-first' : 'start-first',
  };
  const world = await started(setup);
  const log: string[] = [];
  let isEven = true;
  // What the scheduler makes of an empty cluster is the measure for all that follows.
  let fault = unfair(world, setup.isZoned);
  for (let at = 1; at <= STEPS && fault === undefined; at++) {
    const what = await step(world, random, at);
    log.push(what);
    await world.clock.advance(60_000);
    // Nothing moves a healthy task to a node that comes back: only the next roll-out evens out.
    if (what === 'new node') isEven = false;
    if (what === 'roll-out') isEven = true;
    const replicas = world.store.get('service', 'web')?.Spec.Mode.Replicated?.Replicas ?? 0;
    if (world.up().length !== replicas) fault = `${world.up().length} up of ${replicas}`;
    if (!isEven || fault !== undefined) continue;
    fault = unfair(world, setup.isZoned);
  }
  await world.stop();
  return fault && `seed ${seed}: ${fault} after ${log.join(', ')}; ${JSON.stringify(setup)}`;
}

test('after any roll-out, restart, drain or scaling the spread is as good as a fresh one', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) t.is(await run(seed), undefined);
});

test('two replicas on two nodes stay on both, however often they are replaced', async (t) => {
  const world = await started({
    zones: ['a', 'b'],
    replicas: 2,
    isZoned: false,
    parallelism: 1,
    order: 'stop-first',
  });
  for (let round = 0; round < 6; round++) {
    await world.update((spec) => ({
      ...spec,
      TaskTemplate: { ...spec.TaskTemplate, ForceUpdate: round + 1 },
    }));
    await world.clock.advance(20_000);
    const places = world.up().map(({ NodeID }) => NodeID);
    t.deepEqual(places.sort(), ['n0', 'n1'], `round ${round}`);
  }
  await world.stop();
});
