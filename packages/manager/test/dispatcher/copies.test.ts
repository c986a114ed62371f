import test, { type ExecutionContext } from 'ava';
import {
  COPY_NAMED_MS,
  HEIR_AFTER_MS,
  RIVAL_ANSWER_MS,
  RIVAL_RETURN_MS,
} from '../../src/dispatcher/limits.js';
import { nodeDraft, put, taskDraft } from '../support/objects.js';
import { DispatcherWorld, helloOf, type TestAgent } from './harness.js';

const HOME = '198.18.0.7';
const ELSEWHERE = '198.18.0.9';

/** A leader with a node whose daemon has its session. */
async function withOriginal(t: ExecutionContext, isDeaf = false) {
  const world = await DispatcherWorld.create(t);
  await put(world.store, 'node', nodeDraft('n1'));
  world.dispatcher.start();
  const original = await world.connect('n1', isDeaf);
  original.send(helloOf({ instance: 'first' }));
  await original.next('mesh');
  return { world, original };
}

async function helloFrom(
  world: DispatcherWorld,
  address: string,
  instance?: string,
): Promise<TestAgent> {
  world.remoteAddresses.set('n1', address);
  const agent = await world.connect('n1');
  agent.send(helloOf(instance === undefined ? {} : { instance }));
  return agent;
}

const message = (world: DispatcherWorld) => world.store.get('node', 'n1')?.Status.Message ?? '';

test('a copied data folder gets no session while the first daemon answers, and everybody is told', async (t) => {
  const { world, original } = await withOriginal(t);
  const copy = await helloFrom(world, ELSEWHERE, 'second');
  const end = await copy.next('session-end');
  t.true(end.isCopy);
  t.false(end.fatal);
  t.regex(end.reason, /another daemon, at 198\.18\.0\.7, already runs as node n1.*leave --force/);
  t.deepEqual(copy.of('welcome'), [], 'it never was the node');
  await world.pass(5_000, [original]);
  t.is(world.state('n1'), 'ready');
  t.is(original.of('session-end').length, 0);
  t.regex(message(world), /second daemon, at 198\.18\.0\.9, .*leave --force/);
  t.is(world.store.get('node', 'n1')?.Status.Addr, HOME);
  const said = world.warnings.filter(({ message: text }) => /second daemon/.test(text));
  t.like(said, [{ fields: { nodeId: 'n1', address: ELSEWHERE, knownAddress: HOME } }]);

  await (await helloFrom(world, ELSEWHERE, 'second')).next('session-end');
  const again = world.warnings.filter(({ message: text }) => /second daemon/.test(text));
  t.is(again.length, 1, 'the log says it once a minute');
  await world.pass(COPY_NAMED_MS + 1_000, [original]);
  t.is(message(world), '', 'the node stops naming a copy that is gone');
});

test('a daemon whose connection leads nowhere any more is replaced after a short wait', async (t) => {
  const { world, original } = await withOriginal(t, true);
  const next = await helloFrom(world, HOME, 'second');
  await world.until(() => original.pings > 0, 'the question for a sign of life');
  await world.clock.advance(RIVAL_ANSWER_MS - 1);
  t.deepEqual(next.of('welcome'), []);
  await world.clock.advance(1);
  await next.next('welcome');
  t.regex((await original.next('session-end')).reason, /newer session/);
  await world.pass(4_000, [next]);
  t.is(world.state('n1'), 'ready');
});

test('the next run of a daemon waits for nothing when the connection of the last one broke', async (t) => {
  const { world, original } = await withOriginal(t);
  original.vanish();
  await world.until(() => !world.dispatcher.isConnected('n1'), 'the end of the session');
  const next = await helloFrom(world, HOME, 'second');
  await next.next('welcome');
  t.is(world.store.get('node', 'n1')?.Status.Instance, 'second');
});

test('a copy reports nothing about tasks while it waits', async (t) => {
  const { world } = await withOriginal(t, true);
  await put(world.store, 'task', taskDraft('t1', { NodeID: 'n1' }));
  const copy = await helloFrom(world, ELSEWHERE, 'second');
  const status = { Timestamp: '2026-01-01T00:00:00.000Z', State: 'failed', Message: '' } as const;
  copy.send({ type: 'status', sequence: 1, updates: [{ taskId: 't1', status }] });
  t.regex((await copy.next('session-end')).reason, /status before the welcome/);
  t.not(world.store.get('task', 't1')?.Status.State, 'failed');
});

test('a copy does not slip in while the daemon restarts, and gets the node a minute after it is gone', async (t) => {
  const { world, original } = await withOriginal(t);
  await (await helloFrom(world, ELSEWHERE, 'second')).next('session-end');
  original.close();
  await world.until(() => world.state('n1') === 'disconnected', 'the goodbye');
  await world.clock.advance(10_000);
  t.is(world.state('n1'), 'down');
  const early = await helloFrom(world, ELSEWHERE, 'second');
  t.true((await early.next('session-end')).isCopy);
  await world.clock.advance(HEIR_AFTER_MS - 10_000);
  const heir = await helloFrom(world, ELSEWHERE, 'second');
  await heir.next('welcome');
  const late = await helloFrom(world, HOME, 'third');
  t.true((await late.next('session-end')).isCopy, 'the host that was away is the copy now');
});

test('after a change of leader the daemon that had the node has it again, whoever comes first', async (t) => {
  const world = await DispatcherWorld.create(t);
  const Status = { State: 'ready', Addr: HOME, Instance: 'first' } as const;
  await put(world.store, 'node', nodeDraft('n1', { Status }));
  world.dispatcher.start();
  const copy = await helloFrom(world, ELSEWHERE, 'second');
  await world.until(() => world.handled === 1, 'the hello');
  t.deepEqual(copy.received, []);
  const original = await helloFrom(world, HOME, 'first');
  await original.next('welcome');
  t.true((await copy.next('session-end')).isCopy);
});

test('after a change of leader a node at a new address waits a little, and is never down', async (t) => {
  const world = await DispatcherWorld.create(t);
  const Status = { State: 'ready', Addr: HOME, Instance: 'first' } as const;
  await put(world.store, 'node', nodeDraft('n1', { Status }));
  world.dispatcher.start();
  // Just before the leader would call the node down.
  await world.clock.advance(4_900);
  const moved = await helloFrom(world, ELSEWHERE, 'second');
  await world.until(() => world.handled === 1, 'the hello');
  await world.clock.advance(RIVAL_RETURN_MS - 1);
  t.deepEqual(moved.of('welcome'), []);
  await world.clock.advance(1);
  await moved.next('welcome');
  t.is(world.state('n1'), 'ready');
  t.deepEqual(world.warnings, []);
});

test('programs that name no run of the daemon replace each other, as before', async (t) => {
  const { world, original } = await withOriginal(t);
  const old = await helloFrom(world, ELSEWHERE);
  await old.next('welcome');
  t.regex((await original.next('session-end')).reason, /newer session/);
});

test('two newcomers that take turns do not keep a node whose daemon is gone', async (t) => {
  const { world, original } = await withOriginal(t, true);
  const second = await helloFrom(world, ELSEWHERE, 'second');
  await world.until(() => original.pings > 0, 'the question for a sign of life');
  await world.clock.advance(RIVAL_ANSWER_MS - 100);
  const third = await helloFrom(world, '198.18.0.10', 'third');
  t.regex((await second.next('session-end')).reason, /newer session/);
  await world.clock.advance(100);
  await third.next('welcome');
});

test('a node whose daemon lost its session a moment ago names a copy once', async (t) => {
  const { world, original } = await withOriginal(t);
  await (await helloFrom(world, ELSEWHERE, 'second')).next('session-end');
  await world.until(() => message(world) !== '', 'the message');
  original.vanish();
  await world.until(() => !world.dispatcher.isConnected('n1'), 'the end of the session');
  await (await helloFrom(world, '198.18.0.10', 'second')).next('session-end');
  await world.until(() => /198\.18\.0\.10/.test(message(world)), 'the new address');
  t.regex(message(world), /^a second daemon, at 198\.18\.0\.10, [^;]*$/);
});
