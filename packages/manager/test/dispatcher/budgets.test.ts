import type { AgentMessage, NodeDescription, TaskStatus } from '@swarm/api';
import test from 'ava';
import { NODE_STATUS_ENTRIES, NODE_WRITES } from '../../src/dispatcher/limits.js';
import { nodeDraft, put } from '../support/objects.js';
import { type TestAgent, DESCRIPTION, servingTask, DispatcherWorld } from './harness.js';

function running(Message: string): TaskStatus {
  return { Timestamp: '2026-01-01T00:00:01Z', State: 'running', Message };
}

function statusOf(sequence: number, updates: Record<string, TaskStatus>): AgentMessage {
  return {
    type: 'status',
    sequence,
    updates: Object.entries(updates).map(([taskId, status]) => ({ taskId, status })),
  };
}

/** A leader with these nodes, each with tasks `NODE-0`, `NODE-1`, … that are assigned. */
async function worldOf(
  t: Parameters<typeof DispatcherWorld.create>[0],
  tasks: Record<string, number>,
): Promise<DispatcherWorld> {
  const world = await DispatcherWorld.create(t);
  for (const [nodeId, count] of Object.entries(tasks)) {
    await put(world.store, 'node', nodeDraft(nodeId));
    for (let first = 0; first < count; first += 100) {
      await world.store.transact((transaction) => {
        for (let index = first; index < Math.min(count, first + 100); index += 1) {
          transaction.create('task', servingTask(`${nodeId}-${index}`, nodeId, 'assigned'));
        }
      });
    }
  }
  world.dispatcher.start();
  return world;
}

/** A second in fifty steps. In each the agents send what `step` gives, and all of it arrives. */
async function second(
  world: DispatcherWorld,
  agents: readonly TestAgent[],
  step: (index: number) => void,
): Promise<void> {
  for (let index = 0; index < 50; index += 1) {
    step(index);
    for (const agent of agents) await world.roundTrip(agent);
    await world.clock.advance(20);
  }
}

test('three hundred descriptions in a second make a handful of log entries, and the newest is stored', async (t) => {
  const world = await worldOf(t, { n1: 0 });
  const agent = await world.join('n1');
  const { entries } = world.store;
  let number = 0;
  await second(world, [agent], () => {
    for (let index = 0; index < 6; index += 1) {
      number += 1;
      const description: NodeDescription = { ...DESCRIPTION, Hostname: `h${number}` };
      agent.send({ type: 'description', description });
    }
  });
  t.true(world.store.entries - entries <= NODE_WRITES.burst + NODE_WRITES.perSecond);
  await world.pass(2_000, [agent]);
  t.is(world.store.get('node', 'n1')?.Description?.Hostname, 'h300');
  t.true(world.store.entries - entries <= NODE_WRITES.burst + 3 * NODE_WRITES.perSecond);
});

test('descriptions that come while one is stored become one write', async (t) => {
  const world = await worldOf(t, { n1: 0 });
  const agent = await world.join('n1');
  const { entries } = world.store;
  world.store.pause();
  for (let number = 1; number <= 300; number += 1) {
    agent.send({ type: 'description', description: { ...DESCRIPTION, Hostname: `h${number}` } });
    if (number % 10 === 0) await world.roundTrip(agent);
  }
  world.store.resume();
  await world.until(
    () => world.store.get('node', 'n1')?.Description?.Hostname === 'h300',
    'the newest description',
  );
  t.true(world.store.entries - entries <= 3);
});

test('a description that says the same, and statuses that do, write nothing', async (t) => {
  const world = await worldOf(t, { n1: 1 });
  const agent = await world.join('n1');
  agent.send(statusOf(1, { 'n1-0': running('up') }));
  await world.roundTrip(agent);
  await world.clock.advance(20);
  t.is((await agent.next('status-ack')).sequence, 1);
  const { entries } = world.store;
  for (let sequence = 2; sequence < 10; sequence += 1) {
    agent.send(statusOf(sequence, { 'n1-0': running('up'), other: running('up') }));
    agent.send({ type: 'description', description: DESCRIPTION });
  }
  await world.roundTrip(agent);
  await world.clock.advance(1_000);
  t.is(world.store.entries, entries);
  t.is(agent.of('status-ack').at(-1)?.sequence, 9);
});

test('a thousand statuses after a reconnect are stored with the first flush', async (t) => {
  const world = await worldOf(t, { n1: 1_000 });
  const agent = await world.join('n1');
  const { entries } = world.store;
  for (let message = 0; message < 10; message += 1) {
    const updates = Array.from({ length: 100 }, (_, index) => [
      `n1-${message * 100 + index}`,
      running('up'),
    ]);
    agent.send(statusOf(message + 1, Object.fromEntries(updates)));
  }
  await world.roundTrip(agent);
  await world.clock.advance(20);
  t.is((await agent.next('status-ack')).sequence, 10);
  t.is(world.store.entries, entries + 5);
});

test('a hundred tasks that start at once are stored as fast as they report', async (t) => {
  const world = await worldOf(t, { n1: 100 });
  const agent = await world.join('n1');
  const states = ['accepted', 'preparing', 'ready', 'starting', 'running'] as const;
  let sequence = 0;
  await second(world, [agent], (step) => {
    const State = states[Math.floor(step / 10)]!;
    sequence += 1;
    const updates = Array.from({ length: 10 }, (_, index) => [
      `n1-${(step % 10) * 10 + index}`,
      { ...running(State), State },
    ]);
    agent.send(statusOf(sequence, Object.fromEntries(updates)));
  });
  t.is(agent.of('status-ack').at(-1)?.sequence, 50);
  t.is(world.store.get('task', 'n1-99')?.Status.State, 'running');
});

test('a node that reports without end is slowed, and no other node waits for it', async (t) => {
  const world = await worldOf(t, { loud: 2, quiet: 1 });
  const loud = await world.join('loud');
  const quiet = await world.join('quiet');
  const { entries } = world.store;
  let number = 0;
  const flood = () => {
    for (let index = 0; index < 4; index += 1) {
      number += 1;
      loud.send(
        statusOf(number, { 'loud-0': running(`m${number}`), 'loud-1': running(`m${number}`) }),
      );
    }
  };
  for (let index = 0; index < 20; index += 1) await second(world, [loud, quiet], flood);
  const made = world.store.entries - entries;
  t.true(made <= NODE_STATUS_ENTRIES.burst + 20 * NODE_STATUS_ENTRIES.perSecond + 1, String(made));
  t.true(world.dispatcher.isConnected('loud'));

  quiet.send(statusOf(1, { 'quiet-0': running('up') }));
  flood();
  await world.roundTrip(quiet);
  await world.clock.advance(20);
  t.is((await quiet.next('status-ack')).sequence, 1);
  await world.pass(1_000, [loud, quiet]);
  t.is(world.store.get('task', 'loud-0')?.Status.Message, `m${number}`);
});

test('a status that cannot be stored does not stop other nodes', async (t) => {
  const world = await worldOf(t, { n1: 2, n2: 2 });
  const one = await world.join('n1');
  const two = await world.join('n2');
  // The write of all four, of either half, and of the first alone.
  for (let index = 0; index < 4; index += 1) world.store.failNext(new Error('cannot be written'));
  one.send(statusOf(1, { 'n1-0': running('a'), 'n1-1': running('a') }));
  await world.roundTrip(one);
  two.send(statusOf(1, { 'n2-0': running('a'), 'n2-1': running('a') }));
  await world.roundTrip(two);
  await world.clock.advance(20);
  t.is((await two.next('status-ack')).sequence, 1);
  t.is((await one.next('status-ack')).sequence, 1);
  const states = ['n1-0', 'n1-1', 'n2-0', 'n2-1'].map(
    (id) => world.store.get('task', id)?.Status.State,
  );
  t.is(states.filter((state) => state === 'running').length, 3);
  t.false(one.closed);
});

test('a node that floods its session is read slowly and stays ready, and others are served', async (t) => {
  const world = await worldOf(t, { loud: 0, quiet: 0 });
  const loud = await world.join('loud');
  const quiet = await world.join('quiet');
  const flood = 30_000;
  for (let index = 0; index < flood; index += 1) loud.send({ type: 'heartbeat' });
  const answered = () => loud.of('heartbeat-ack').length;
  let before = -1;
  // Time stands still: only the burst is answered, and what came with it in one piece.
  while (answered() > before) {
    before = answered();
    for (let index = 0; index < 5; index += 1) await world.roundTrip(quiet);
  }
  t.true(answered() < flood / 2, String(answered()));
  for (let index = 0; index < 60 && answered() < flood; index += 1) {
    await world.clock.advance(1_000);
    for (let trip = 0; trip < 5; trip += 1) await world.roundTrip(quiet);
    t.is(world.state('loud'), 'ready');
    t.is(world.state('quiet'), 'ready');
  }
  await world.until(() => answered() === flood, 'the last answer');
  t.false(loud.closed);
});

test('ports of a status that the task does not have are not stored', async (t) => {
  const world = await worldOf(t, { n1: 1 });
  const agent = await world.join('n1');
  const port = { Protocol: 'tcp', TargetPort: 4000, PublishMode: 'ingress' } as const;
  const Ports = Array.from({ length: 1_000 }, (_, index) => ({
    ...port,
    PublishedPort: index + 1,
  }));
  for (let sequence = 1; sequence <= 2; sequence += 1) {
    agent.send(statusOf(sequence, { 'n1-0': { ...running('up'), PortStatus: { Ports } } }));
    await world.roundTrip(agent);
    await world.clock.advance(20);
    t.is((await agent.next('status-ack')).sequence, sequence);
  }
  t.is(world.store.get('task', 'n1-0')?.Status.PortStatus?.Ports?.length, 1);
  t.is(world.store.get('task', 'n1-0')?.Version.Index, world.store.entries);
});
