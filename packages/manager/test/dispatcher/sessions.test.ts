import { ApiError, PROGRAM, type ReportedState, SECOND } from '@swarm/api';
import test from 'ava';
import { clusterDraft, root } from '../ca/cluster.js';
import { leaderGraceMs } from '../../src/dispatcher/liveness.js';
import { nodeDraft, patch, put, taskDraft } from '../support/objects.js';
import { DESCRIPTION, helloOf, servingTask, DispatcherWorld, told } from './harness.js';

const DAY_MS = 24 * 60 * 60 * 1000;

const { Newest } = PROGRAM.Protocol;

test('a session begins with welcome, the mesh and complete assignments, and makes the node ready', async (t) => {
  const world = await DispatcherWorld.create(t);
  const Mesh = { Index: 1, Address: '198.18.9.9', Subnet: '10.240.1.0/24' };
  await put(world.store, 'node', nodeDraft('n1', { Status: { State: 'unknown', Addr: '' }, Mesh }));
  world.dispatcher.start();
  const description = { ...DESCRIPTION, Hostname: 'one' };
  const agent = await world.join('n1', { description, dataPathAddr: '198.18.0.8' });
  t.deepEqual(
    agent.received.map((message) => message.type),
    ['welcome', 'mesh', 'assignments'],
  );
  const node = world.store.get('node', 'n1');
  t.deepEqual(node?.Status, { State: 'ready', Addr: '198.18.0.7', Protocol: Newest });
  t.is(node?.Description?.Hostname, 'one');
  t.is(node?.Mesh?.Address, '198.18.0.8');
  t.is(agent.of('welcome')[0]?.heartbeatMs, 1000);
  t.is(agent.of('mesh')[0]?.delta.base, 0);
  t.true(world.dispatcher.isConnected('n1'));
});

test('what a runtime can do is stored, once', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const description = { ...DESCRIPTION, Runtime: 'docker', RuntimeCapabilities: ['images'] };
  const agent = await world.join('n1', { description });
  const stored = world.store.get('node', 'n1')?.Description;
  t.like(stored, { Runtime: 'docker', RuntimeCapabilities: ['images'] });
  const { entries } = world.store;
  agent.send({ type: 'description', description });
  await put(world.store, 'node', nodeDraft('n2'));
  await world.pass(3_000, [agent]);
  t.is(world.store.entries, entries + 1, 'nothing but the other node');
});

test('the protocol of a session is stored, and agents hear when the feature level rises', async (t) => {
  const world = await DispatcherWorld.create(t);
  const cluster = await clusterDraft(await root(world.clock.now()));
  const { FeatureLevel } = PROGRAM;
  await put(world.store, 'cluster', { ...cluster, FeatureLevel: FeatureLevel.Oldest });
  for (const id of ['n1', 'n2']) await put(world.store, 'node', nodeDraft(id));
  world.dispatcher.start();
  world.protocols.set('n1', 1);
  const old = await world.join('n1');
  const young = await world.join('n2');
  t.false('featureLevel' in old.of('welcome')[0]!, 'protocol 1 has no such field');
  t.is(young.of('welcome')[0]?.featureLevel, FeatureLevel.Oldest);
  const protocolOf = (id: string) => world.store.get('node', id)?.Status.Protocol;
  t.is(protocolOf('n1'), 1);
  t.is(protocolOf('n2'), Newest);
  const { entries } = world.store;
  await patch(world.store, 'cluster', cluster.ID, (one) => ({
    ...one,
    FeatureLevel: FeatureLevel.Newest,
  }));
  t.is((await young.next('node')).featureLevel, FeatureLevel.Newest);
  await world.pass(3_000, [old, young]);
  t.is(world.store.entries, entries + 1, 'nothing but the level');
  t.false('featureLevel' in (await old.next('node')));
});

test('a node that comes back as it was writes nothing', async (t) => {
  const world = await DispatcherWorld.create(t);
  const Status = { State: 'ready', Addr: '198.18.0.7', Protocol: Newest } as const;
  await put(world.store, 'node', nodeDraft('n1', { Status, Description: DESCRIPTION }));
  world.dispatcher.start();
  const { entries } = world.store;
  await world.join('n1');
  t.is(world.store.entries, entries);
});

test('registering twice replaces the older session, and the node stays ready', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const old = await world.join('n1');
  const fresh = await world.join('n1');
  t.regex((await old.next('session-end')).reason, /newer session/);
  await world.until(() => old.closed, 'the close of the old session');
  await world.pass(5_000, [fresh]);
  t.is(world.state('n1'), 'ready');
});

test('a node that registers in a loop is refused for a while', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  for (let count = 0; count < 10; count += 1) await world.join('n1');
  const refused = await world.connect('n1');
  refused.send(helloOf());
  const end = await refused.next('session-end');
  t.is(end.reason, 'exceeded rate limit count of registrations');
  t.false(end.fatal);
  await world.clock.advance(8_000);
  await t.notThrowsAsync(world.join('n1'));
});

test('a node that connects in a loop is refused for a while, whatever it says', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  for (let count = 0; count < 10; count += 1) {
    const agent = await world.connect('n1');
    agent.raw(Buffer.from([0xc1]));
    t.regex((await agent.next('session-end')).reason, /^malformed message/);
  }
  const refused = await world.connect('n1');
  t.regex((await refused.next('session-end')).reason, /rate limit/);
  await world.clock.advance(8_000);
  await t.notThrowsAsync(world.join('n1'));
});

test('a fault in handling a message ends the session it came by, nothing else', async (t) => {
  const world = await DispatcherWorld.create(t);
  for (const id of ['n1', 'n2']) await put(world.store, 'node', nodeDraft(id));
  world.dispatcher.start();
  world.dispatcher.listen({
    message() {
      throw new TypeError('a fault');
    },
    connected() {},
    disconnected() {},
  });
  const good = await world.join('n2');
  const unlucky = await world.join('n1');
  unlucky.send({ type: 'log-end', subscription: 's1' });
  t.regex((await unlucky.next('session-end')).reason, /fault of the manager/);
  await t.notThrowsAsync(world.roundTrip(good));
});

test('a manager that does not lead says so and closes, as does one that stops leading', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  const manager = nodeDraft('m1', { Role: 'manager', RaftID: 7, ManagerAddr: '198.18.0.1:2377' });
  await put(world.store, 'node', manager);
  const early = await world.connect('n1');
  t.deepEqual((await early.next('not-leader')).managers, [
    { nodeId: 'm1', address: '198.18.0.1:2377' },
  ]);
  await world.until(() => early.closed, 'the close');
  world.dispatcher.start();
  const agent = await world.join('n1');
  const { entries } = world.store;
  await world.dispatcher.stop();
  t.false((await agent.next('session-end')).fatal);
  await world.clock.advance(DAY_MS);
  t.is(world.store.entries, entries);
});

test('a node that is not in the cluster, or is removed from it, is told that for good', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const stranger = await world.connect('n2');
  stranger.send(helloOf());
  t.true((await stranger.next('session-end')).fatal);
  const agent = await world.join('n1');
  await world.store.transact((transaction) => transaction.remove('node', 'n1'));
  t.like(await agent.next('session-end'), {
    fatal: true,
    reason: 'this node was removed from the cluster',
  });
  await world.until(() => agent.closed, 'the close');
});

test('a node is down after three missed heartbeats, and ready again with a new session', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  await world.pass(10_000, [agent]);
  t.is(world.state('n1'), 'ready');
  await world.clock.advance(2_999);
  t.is(world.state('n1'), 'ready');
  await world.clock.advance(1);
  t.like(world.store.get('node', 'n1')?.Status, { State: 'down', Message: 'heartbeat failure' });
  await agent.next('session-end');
  await world.join('n1');
  t.is(world.state('n1'), 'ready');
});

test('an agent that vanished has until its heartbeats are missed to come back', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  agent.vanish();
  await world.until(() => !world.dispatcher.isConnected('n1'), 'the end of the session');
  await world.clock.advance(2_000);
  t.is(world.state('n1'), 'ready');
  await world.join('n1');
  await world.clock.advance(1_500);
  t.is(world.state('n1'), 'ready');
});

test('an agent that says goodbye is disconnected at once and down after the grace', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  agent.close();
  await world.until(() => world.state('n1') === 'disconnected', 'disconnected');
  await world.clock.advance(3_000);
  t.is(world.state('n1'), 'down');
});

test('after a change of leader nodes have time to notice and to come back', async (t) => {
  const world = await DispatcherWorld.create(t);
  for (const id of ['n1', 'n2']) await put(world.store, 'node', nodeDraft(id));
  world.dispatcher.start();
  await world.clock.advance(7_900);
  const agent = await world.join('n1');
  await world.clock.advance(100);
  await world.roundTrip(agent);
  t.is(world.state('n1'), 'ready');
  t.is(world.state('n2'), 'down');
});

test('the more nodes have to come back to a new leader, the more time they have, up to a limit', async (t) => {
  t.is(leaderGraceMs(0, 1_000), 8_000);
  t.is(leaderGraceMs(1_250, 1_000), 8_000);
  t.is(leaderGraceMs(5_000, 1_000), 20_000);
  t.is(leaderGraceMs(5_000, 10_000), 44_000);
  t.is(leaderGraceMs(1e6, 1_000), 120_000);
  const world = await DispatcherWorld.create(t);
  const down = { Status: { State: 'down', Addr: '' } } as const;
  for (let i = 0; i < 3_000; i += 1) {
    await put(world.store, 'node', nodeDraft(`n${i}`, i % 4 === 0 ? down : {}));
  }
  world.dispatcher.start();
  // 2,250 of them.
  await world.clock.advance(8_990);
  t.is(world.state('n1'), 'ready');
  await world.clock.advance(20);
  t.is(world.state('n1'), 'down');
});

test('the heartbeat of the cluster’s spec applies, in the welcome and in each reply', async (t) => {
  const world = await DispatcherWorld.create(t);
  const Dispatcher = { HeartbeatPeriod: 2 * SECOND };
  const authority = await root(world.clock.now());
  const cluster = await put(world.store, 'cluster', await clusterDraft(authority, { Dispatcher }));
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  t.is(agent.of('welcome')[0]?.heartbeatMs, 2000);
  await world.clock.advance(5_999);
  t.is(world.state('n1'), 'ready');
  await patch(world.store, 'cluster', cluster.ID, (old) => ({
    ...old,
    Spec: { ...old.Spec, Dispatcher: { HeartbeatPeriod: 3 * SECOND } },
  }));
  await world.roundTrip(agent);
  t.is(agent.of('heartbeat-ack').at(-1)?.heartbeatMs, 3000);
  await world.clock.advance(8_999);
  t.is(world.state('n1'), 'ready');
});

test('tasks of a node that is down for a day are orphaned, those that ended are not', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  await put(world.store, 'task', servingTask('runs', 'n1'));
  await put(world.store, 'task', servingTask('ended', 'n1', 'complete'));
  world.dispatcher.start();
  await world.clock.advance(8_000);
  t.is(world.state('n1'), 'down');
  const stateOf = (id: string) => world.store.get('task', id)?.Status.State;
  await world.clock.advance(DAY_MS - 1);
  t.is(stateOf('runs'), 'running');
  await world.clock.advance(1);
  t.is(stateOf('runs'), 'orphaned');
  t.is(stateOf('ended'), 'complete');
});

test('changed roles, labels and managers are told, statuses are not', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  await patch(world.store, 'node', 'n1', (node) => ({
    ...node,
    Spec: { ...node.Spec, Role: 'manager' },
  }));
  t.is((await agent.next('node')).node.Spec.Role, 'manager');
  await put(
    world.store,
    'node',
    nodeDraft('m1', { Role: 'manager', RaftID: 7, ManagerAddr: '198.18.0.1:2377' }),
  );
  t.is((await agent.next('node')).managers.length, 1);
  await patch(world.store, 'node', 'm1', (node) => ({
    ...node,
    Status: { State: 'down', Addr: '' },
  }));
  await world.roundTrip(agent);
  t.is(agent.of('node').length, 2);
});

test('malformed messages end the session with a reason and nothing else', async (t) => {
  const world = await DispatcherWorld.create(t);
  for (const id of ['n1', 'n2']) await put(world.store, 'node', nodeDraft(id));
  world.dispatcher.start();
  const good = await world.join('n2');
  const { pack } = new (await import('msgpackr')).Packr({ useRecords: false });
  const status = { taskId: 't', status: { State: 'flying', Timestamp: 'now', Message: '' } };
  const bad: (Buffer | string)[] = [
    'text',
    Buffer.from([0xc1]),
    Buffer.from([0x93]),
    pack([1]),
    pack({ type: 'nonsense' }),
    pack({ type: 'hello', protocol: 'x' }),
    pack({ type: 'status', sequence: -1, updates: [] }),
    pack({ type: 'status', sequence: 1, updates: [status] }),
    pack({ type: 'mesh-ack', generation: 1e9 }),
  ];
  for (const frame of bad) {
    await world.clock.advance(1_000);
    await world.roundTrip(good);
    const agent = await world.join('n1');
    agent.raw(frame);
    t.regex((await agent.next('session-end')).reason, /^malformed message/);
  }
  const hasty = await world.connect('n1');
  hasty.send({ type: 'heartbeat' });
  t.regex((await hasty.next('session-end')).reason, /not a hello/);
  const silent = await world.connect('n1');
  await world.roundTrip(good);
  for (let second = 0; second < 5; second += 1) {
    await world.roundTrip(good);
    await world.clock.advance(1_000);
  }
  t.is((await silent.next('session-end')).reason, 'no hello in time');
  await t.notThrowsAsync(world.roundTrip(good));
});

test('statuses are stored together and acknowledged when they are stored', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  for (const id of ['a', 'b']) await put(world.store, 'task', servingTask(id, 'n1', 'assigned'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  const { entries } = world.store;
  const report = (sequence: number, taskId: string, State: 'starting' | 'running') => {
    const status = { Timestamp: '2026-01-01T00:00:01Z', State, Message: State };
    agent.send({ type: 'status', sequence, updates: [{ taskId, status }] });
  };
  report(1, 'a', 'starting');
  report(2, 'a', 'running');
  report(3, 'b', 'starting');
  await world.roundTrip(agent);
  t.is(agent.of('status-ack').length, 0);
  world.store.pause();
  await world.clock.advance(20);
  await world.roundTrip(agent);
  t.is(agent.of('status-ack').length, 0);
  world.store.resume();
  t.is((await agent.next('status-ack')).sequence, 3);
  t.is(world.store.entries, entries + 1);
  t.is(world.store.get('task', 'a')?.Status.State, 'running');
  t.is(world.store.get('task', 'b')?.Status.State, 'starting');
  t.is(typeof world.store.get('task', 'a')?.Status.AppliedAt, 'string');
});

test('observed state never goes back; unknown tasks and those of others are ignored', async (t) => {
  const world = await DispatcherWorld.create(t);
  for (const id of ['n1', 'n2']) await put(world.store, 'node', nodeDraft(id));
  await put(world.store, 'task', servingTask('mine', 'n1'));
  await put(world.store, 'task', servingTask('theirs', 'n2'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  const { entries } = world.store;
  const report = (taskId: string, State: 'ready' | 'failed') => ({
    taskId,
    status: { Timestamp: '2026-01-01T00:00:01Z', State, Message: '' },
  });
  const updates = [report('mine', 'ready'), report('theirs', 'failed'), report('none', 'failed')];
  agent.send({ type: 'status', sequence: 1, updates });
  await world.roundTrip(agent);
  await world.clock.advance(20);
  t.is((await agent.next('status-ack')).sequence, 1);
  t.is(world.store.entries, entries);
});

test("a node's clock makes no time jump back or lie ahead, and the managers note the start", async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  const iso = (ms: number) => new Date(ms).toISOString();
  const assignedAt = iso(world.clock.now());
  const task = servingTask('a', 'n1', 'assigned');
  await put(world.store, 'task', {
    ...task,
    Status: { ...task.Status, Timestamp: assignedAt },
  });
  world.dispatcher.start();
  const agent = await world.join('n1');
  let sequence = 0;
  const report = async (State: ReportedState, Timestamp: string, Message = '') => {
    const status = { Timestamp, State, Message };
    agent.send({ type: 'status', sequence: ++sequence, updates: [{ taskId: 'a', status }] });
    await world.roundTrip(agent);
    await world.clock.advance(100);
    await agent.next('status-ack');
    return world.store.get('task', 'a')!.Status;
  };
  const behind = await report('preparing', '2020-01-01T00:00:00Z');
  t.is(behind.Timestamp, assignedAt);
  t.is(behind.StartedAt, undefined);
  await world.pass(5_000, [agent]);
  const ahead = await report('running', '2099-01-01T00:00:00Z');
  t.is(ahead.AppliedAt, ahead.Timestamp);
  t.is(ahead.StartedAt, ahead.AppliedAt);
  const { entries } = world.store;
  await report('running', '2099-01-01T00:00:05Z');
  t.is(world.store.entries, entries, 'the same with another time is no news');
  await world.pass(5_000, [agent]);
  const right = iso(world.clock.now());
  const talks = await report('running', right, 'stopping, with a grace period of 6000 ms');
  t.is(talks.Message, 'stopping, with a grace period of 6000 ms');
  t.is(talks.Timestamp, ahead.Timestamp, 'a message does not make the state young again');
  t.is(talks.StartedAt, ahead.StartedAt);
  const failed = await report('failed', right);
  t.is(failed.Timestamp, right);
  t.is(failed.StartedAt, ahead.StartedAt);
});

test('what the managers noted on a task that ended stays when its node reports again', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  await put(world.store, 'task', servingTask('a', 'n1', 'failed'));
  await patch(world.store, 'task', 'a', (task) => ({
    ...task,
    Status: { ...task.Status, Message: 'not restarted: the restart condition is none' },
  }));
  world.dispatcher.start();
  const agent = await world.join('n1');
  const status = { Timestamp: '2026-01-01T00:00:09Z', State: 'failed', Message: 'failed' } as const;
  agent.send({ type: 'status', sequence: 1, updates: [{ taskId: 'a', status }] });
  await world.roundTrip(agent);
  await world.clock.advance(100);
  await agent.next('status-ack');
  t.is(
    world.store.get('task', 'a')?.Status.Message,
    'not restarted: the restart condition is none',
  );
});

test('a status that conflicts with another write, or finds no quorum, is written again', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  await put(world.store, 'task', servingTask('a', 'n1', 'assigned'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  world.store.failNext(new ApiError('OUT_OF_SEQUENCE', 'changed'));
  world.store.failNext(new ApiError('NO_QUORUM', 'no leader'));
  const status = { Timestamp: '2026-01-01T00:00:01Z', State: 'running', Message: '' } as const;
  agent.send({ type: 'status', sequence: 1, updates: [{ taskId: 'a', status }] });
  await world.roundTrip(agent);
  await world.clock.advance(20);
  t.is(world.store.get('task', 'a')?.Status.State, 'assigned');
  await world.clock.advance(100);
  await agent.next('status-ack');
  t.is(world.store.get('task', 'a')?.Status.State, 'running');
});

test('more statuses than fit into one transaction are all stored', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  const ids = Array.from({ length: 450 }, (_, index) => `t${index}`);
  for (const id of ids) await put(world.store, 'task', servingTask(id, 'n1', 'assigned'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  const { entries } = world.store;
  const status = { Timestamp: '2026-01-01T00:00:01Z', State: 'running', Message: '' } as const;
  agent.send({ type: 'status', sequence: 1, updates: ids.map((taskId) => ({ taskId, status })) });
  await world.roundTrip(agent);
  await world.clock.advance(20);
  await agent.next('status-ack');
  t.is(world.store.entries, entries + 3);
  t.true(ids.every((id) => world.store.get('task', id)?.Status.State === 'running'));
});

test('only assigned tasks of the node are sent, then only what changes for the agent', async (t) => {
  const world = await DispatcherWorld.create(t);
  for (const id of ['n1', 'n2']) await put(world.store, 'node', nodeDraft(id));
  await put(world.store, 'task', servingTask('here', 'n1', 'assigned'));
  await put(world.store, 'task', servingTask('elsewhere', 'n2', 'assigned'));
  await put(world.store, 'task', taskDraft('early', { NodeID: 'n1' }));
  world.dispatcher.start();
  const agent = await world.join('n1');
  const first = agent.assignments()[0]!;
  t.is(first.set, 'complete');
  t.deepEqual(told(first), ['put task here']);

  const setState = (id: string, State: 'assigned' | 'running') =>
    patch(world.store, 'task', id, (task) => ({ ...task, Status: { ...task.Status, State } }));
  await setState('here', 'running');
  await world.clock.advance(50);
  await world.roundTrip(agent);
  t.is(agent.of('assignments').length, 1);

  await setState('early', 'assigned');
  await world.store.transact((transaction) => transaction.remove('task', 'elsewhere'));
  await world.clock.advance(10);
  await world.roundTrip(agent);
  const second = agent.assignments()[1]!;
  t.is(second.set, 'incremental');
  t.is(second.appliesTo, first.resultsIn);
  t.deepEqual(told(second), ['put task early']);
  await world.store.transact((transaction) => transaction.remove('task', 'early'));
  await world.clock.advance(10);
  await world.roundTrip(agent);
  t.deepEqual(told(agent.assignments()[2]!), ['remove task early']);
});

test('many changes come in messages of at most a hundred', async (t) => {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const agent = await world.join('n1');
  await world.store.transact((transaction) => {
    for (let index = 0; index < 199; index += 1) {
      transaction.create('task', servingTask(`t${index}`, 'n1', 'assigned'));
    }
  });
  await world.clock.advance(10);
  await world.roundTrip(agent);
  const sizes = agent.assignments().map((message) => message.changes.length);
  t.deepEqual(sizes, [0, 100, 99]);
});
