import { randomBytes } from 'node:crypto';
import {
  ApiError,
  type LogCredit,
  type LogOptions,
  type LogSubscribe,
  type LogUnsubscribe,
  silentLogger,
} from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import type { LogChannel, LogListener } from '../../src/dispatcher/index.js';
import { createLogBroker, LOG_STREAMS_LIMIT, type LogItem } from '../../src/logbroker/index.js';
import { servingTask } from '../dispatcher/harness.js';
import { nodeDraft, put, taskDraft } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { settle, VirtualClock } from '@swarm/sim';
import { START_MS } from '../support/start-time.js';

const ALL: LogOptions = { follow: false, stdout: true, stderr: true, tail: -1 };
const FOLLOW: LogOptions = { ...ALL, follow: true };

/** The dispatcher's side, with nodes that are connected by name. */
class TestChannel implements LogChannel {
  readonly nodes = new Set<string>();
  readonly sent: { nodeId: string; message: LogSubscribe | LogUnsubscribe | LogCredit }[] = [];
  listener!: LogListener;

  isConnected(nodeId: string): boolean {
    return this.nodes.has(nodeId);
  }

  sendLog(nodeId: string, message: LogSubscribe | LogUnsubscribe | LogCredit): boolean {
    if (this.nodes.has(nodeId)) this.sent.push({ nodeId, message });
    return this.nodes.has(nodeId);
  }

  listen(listener: LogListener): () => void {
    this.listener = listener;
    return () => {};
  }

  of<T extends 'log-subscribe' | 'log-unsubscribe' | 'log-credit'>(type: T, nodeId?: string) {
    return this.sent
      .filter((each) => nodeId === undefined || each.nodeId === nodeId)
      .map(({ message }) => message)
      .filter((message) => message.type === type) as Extract<
      LogSubscribe | LogUnsubscribe | LogCredit,
      { type: T }
    >[];
  }

  line(nodeId: string, taskId: string, text: string, second = 1): void {
    const { subscription } = this.of('log-subscribe', nodeId).findLast(({ taskIds }) =>
      taskIds.includes(taskId),
    )!;
    const timestamp = `2026-01-01T00:00:0${second}.000000000Z`;
    const line = { taskId, stream: 'stdout' as const, timestamp, data: Buffer.from(text) };
    this.listener.message(nodeId, { type: 'log', subscription, lines: [line] });
  }

  end(nodeId: string, error?: string): void {
    const { subscription } = this.of('log-subscribe', nodeId).at(-1)!;
    const end = { type: 'log-end', subscription } as const;
    this.listener.message(nodeId, error === undefined ? end : { ...end, error });
  }
}

async function world(t: ExecutionContext) {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const channel = new TestChannel();
  const broker = createLogBroker({ store, clock, logger: silentLogger, randomBytes }, channel);
  broker.start();
  t.teardown(() => broker.stop());
  for (const id of ['n1', 'n2']) {
    await put(store, 'node', nodeDraft(id));
    channel.nodes.add(id);
  }
  await put(store, 'task', servingTask('a', 'n1'));
  await put(store, 'task', servingTask('b', 'n2'));
  await put(store, 'task', servingTask('other', 'n2', 'running', { ServiceID: 'else' }));
  return { store, channel, broker };
}

function text(item: LogItem): string {
  return item.type === 'line' ? Buffer.from(item.line.data).toString() : item.message;
}

async function drain(stream: AsyncIterable<LogItem>): Promise<string[]> {
  const items: string[] = [];
  for await (const item of stream) items.push(text(item));
  return items;
}

const WARNING =
  'warning: incomplete log stream. some logs could not be retrieved for the following reasons: ';

test('the selector decides which nodes are asked for which tasks', async (t) => {
  const { broker, channel } = await world(t);
  const asked = () =>
    channel.sent
      .splice(0)
      .map(({ nodeId, message }) => [nodeId, (message as LogSubscribe).taskIds]);
  broker.subscribe({ serviceIds: ['service'] }, ALL);
  t.deepEqual(asked(), [
    ['n1', ['a']],
    ['n2', ['b']],
  ]);
  broker.subscribe({ taskIds: ['b'] }, ALL);
  t.deepEqual(asked(), [['n2', ['b']]]);
  broker.subscribe({ nodeIds: ['n2'] }, ALL);
  t.deepEqual(asked(), [['n2', ['b', 'other']]]);
});

test('lines of all nodes come as one stream, which ends when all nodes are done', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ serviceIds: ['service'] }, ALL);
  channel.line('n1', 'a', 'one');
  channel.line('n2', 'b', 'two');
  channel.end('n1');
  channel.line('n2', 'b', 'three');
  channel.end('n2');
  t.deepEqual(await drain(stream), ['one', 'two', 'three']);
});

test('lines of tasks or subscriptions that were not asked for are dropped', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ serviceIds: ['service'] }, ALL);
  const { subscription } = channel.of('log-subscribe', 'n1')[0]!;
  const forged = {
    taskId: 'other',
    stream: 'stdout' as const,
    timestamp: '2026-01-01T00:00:01Z',
    data: Buffer.from('forged'),
  };
  channel.listener.message('n1', { type: 'log', subscription, lines: [forged] });
  channel.listener.message('n2', { type: 'log-end', subscription });
  channel.end('n1');
  channel.end('n2');
  t.deepEqual(await drain(stream), []);
});

test('a last warning says what is missing: nodes away, lost, failing, and tasks without a node', async (t) => {
  const { broker, channel, store } = await world(t);
  await put(store, 'task', taskDraft('waiting', {}));
  await put(store, 'node', nodeDraft('n3'));
  await put(store, 'task', servingTask('c', 'n3'));
  const stream = broker.subscribe({ serviceIds: ['service'] }, ALL);
  channel.line('n1', 'a', 'one');
  channel.nodes.delete('n1');
  channel.listener.disconnected('n1');
  channel.end('n2', 'no such log');
  t.deepEqual(await drain(stream), [
    'one',
    `${WARNING}task waiting has not been scheduled, node n3 is not available, ` +
      'node n1 disconnected unexpectedly, node n2: no such log',
  ]);
});

test('without any node to ask the stream is over at once', async (t) => {
  const { broker, channel } = await world(t);
  channel.nodes.clear();
  const items = await drain(broker.subscribe({ taskIds: ['a'] }, ALL));
  t.deepEqual(items, [`${WARNING}node n1 is not available`]);
  t.deepEqual(await drain(broker.subscribe({ taskIds: ['none'] }, ALL)), []);
});

test('following takes in tasks that come later, and ends when the reader has enough', async (t) => {
  const { broker, channel, store } = await world(t);
  const stream = broker.subscribe({ serviceIds: ['service'] }, { ...FOLLOW, tail: 5 });
  t.is(channel.of('log-subscribe').length, 2);
  await put(store, 'task', servingTask('late', 'n1', 'assigned'));
  await put(store, 'task', servingTask('foreign', 'n1', 'assigned', { ServiceID: 'else' }));
  const subscriptions = channel.of('log-subscribe');
  t.is(subscriptions.length, 3);
  t.deepEqual(subscriptions[2]?.taskIds, ['late']);
  t.is(subscriptions[2]?.options.tail, -1);
  channel.end('n2');
  channel.line('n1', 'late', 'hello');
  t.is(text((await stream.next()).value as LogItem), 'hello');
  await stream.return?.();
  t.deepEqual(
    channel.of('log-unsubscribe').map((message) => message.subscription),
    [subscriptions[0]!.subscription, subscriptions[2]!.subscription],
  );
  t.true((await stream.next()).done);
  await put(store, 'task', servingTask('later', 'n1', 'assigned'));
  t.is(channel.of('log-subscribe').length, 3);
});

test('following continues where it broke off when a node comes back', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ taskIds: ['a'] }, FOLLOW);
  channel.line('n1', 'a', 'one', 7);
  channel.listener.disconnected('n1');
  channel.listener.connected('n1');
  t.like(channel.of('log-subscribe').at(-1)?.options, {
    since: '2026-01-01T00:00:07.000000000Z',
    tail: -1,
  });
  channel.line('n1', 'a', 'two', 8);
  const items = [await stream.next(), await stream.next(), await stream.next()];
  t.deepEqual(
    items.map(({ value }) => text(value as LogItem)),
    ['one', `${WARNING}node n1 disconnected unexpectedly`, 'two'],
  );
});

test('agents get credit as lines are read, and none while the reader stalls', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ taskIds: ['a'] }, FOLLOW);
  const { creditBytes } = channel.of('log-subscribe')[0]!;
  t.true(creditBytes! > 0);
  const line = 'x'.repeat(1024);
  const lines = Math.floor(creditBytes! / (1024 + 128));
  for (let count = 0; count < lines; count += 1) channel.line('n1', 'a', line);
  await settle();
  t.is(channel.of('log-credit').length, 0);
  for (let count = 0; count < lines; count += 1) await stream.next();
  const given = channel.of('log-credit').reduce((sum, { bytes }) => sum + bytes, 0);
  t.true(given >= creditBytes! / 2 && given <= creditBytes!);
});

test('an agent that sends beyond its credit is cut off, and the reader gets a warning', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ taskIds: ['a'] }, ALL);
  const line = 'x'.repeat(64 * 1024);
  for (let count = 0; channel.of('log-unsubscribe').length === 0; count += 1) {
    if (count > 100) return t.fail('nothing bounds what waits for the reader');
    channel.line('n1', 'a', line);
  }
  const items = await drain(stream);
  t.is(items.at(-1), `${WARNING}node n1 sent faster than the logs were read`);
});

test('a node that keeps reconnecting while the reader stalls does not fill the memory', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ taskIds: ['a'] }, FOLLOW);
  const { creditBytes } = channel.of('log-subscribe')[0]!;
  const line = 'x'.repeat(creditBytes! - 128);
  for (let count = 0; count < 50; count += 1) {
    channel.line('n1', 'a', line, 5);
    channel.listener.disconnected('n1');
    channel.listener.connected('n1');
  }
  t.is(channel.of('log-subscribe').length, 1, 'it is asked again when the reader has read on');
  t.is(text((await stream.next()).value as LogItem), line);
  t.is(channel.of('log-subscribe').length, 2);
  t.is(channel.of('log-subscribe')[1]!.options.since, '2026-01-01T00:00:05.000000000Z');
  for (let count = 0; count < 100; count += 1) {
    channel.listener.disconnected('n1');
    channel.listener.connected('n1');
  }
  await broker.stop();
  const rest = await drain(stream);
  t.true(rest.length <= 21, `${rest.length} warnings waited`);
  t.regex(rest.at(-1)!, /the leader of the cluster changed/);
});

test('streams are limited in number, and end when this manager no longer leads', async (t) => {
  const { broker, channel } = await world(t);
  const streams = Array.from({ length: LOG_STREAMS_LIMIT }, () =>
    broker.subscribe({ taskIds: ['a'] }, FOLLOW),
  );
  const one = () => broker.subscribe({ taskIds: ['a'] }, FOLLOW);
  t.is(t.throws(one, { instanceOf: ApiError })?.code, 'OVERLOADED');
  await streams[0]!.return?.();
  t.notThrows(one);
  await broker.stop();
  t.deepEqual(await drain(streams[1]!), [`${WARNING}the leader of the cluster changed: try again`]);
  t.is(t.throws(one, { instanceOf: ApiError })?.code, 'NO_QUORUM');
  t.is(channel.of('log-unsubscribe').length, LOG_STREAMS_LIMIT + 1);
});
