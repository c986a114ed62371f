import { randomBytes } from 'node:crypto';
import {
  ApiError,
  type LogCredit,
  type LogLine,
  type LogOptions,
  type LogSubscribe,
  type LogUnsubscribe,
  type NodeState,
  silentLogger,
  type Task,
} from '@swarm/api';
import { LOG_ERROR_LIMIT_BYTES } from '@swarm/api/wire';
import test, { type ExecutionContext } from 'ava';
import type { LogChannel, LogListener } from '../../src/dispatcher/index.js';
import { createLogBroker, type LogItem } from '../../src/logbroker/index.js';
import {
  AWAY_NOTICE_MS,
  AWAY_READY_NOTICE_MS,
  LOG_STREAMS_LIMIT,
  NODE_WAIT_MS,
  STREAM_UNREAD_LIMIT_BYTES,
} from '../../src/logbroker/limits.js';
import { LogFrameReader, writeLogFrame } from '../../src/logbroker/log-wire.js';
import { servingTask } from '../dispatcher/harness.js';
import { nodeDraft, put, serviceDraft, taskDraft } from '../support/objects.js';
import { createTestStore, type TestStore } from '../support/test-store.js';
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

  line(
    nodeId: string,
    taskId: string,
    text: string,
    second = 1,
    more: Partial<LogLine> = {},
  ): void {
    const { subscription } = this.of('log-subscribe', nodeId).findLast(({ taskIds }) =>
      taskIds.includes(taskId),
    )!;
    const timestamp = `2026-01-01T00:00:0${second}.000000000Z`;
    const data = Buffer.from(text);
    const line = { taskId, stream: 'stdout' as const, timestamp, data, ...more };
    this.listener.message(nodeId, { type: 'log', subscription, lines: [line] });
  }

  disconnect(nodeId: string): void {
    this.nodes.delete(nodeId);
    this.listener.disconnected(nodeId);
  }

  connect(nodeId: string): void {
    this.nodes.add(nodeId);
    this.listener.connected(nodeId);
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
  await put(store, 'service', serviceDraft('service'));
  await put(store, 'task', servingTask('a', 'n1'));
  await put(store, 'task', servingTask('b', 'n2'));
  await put(store, 'task', servingTask('other', 'n2', 'running', { ServiceID: 'else' }));
  return { store, channel, broker, clock };
}

function text(item: LogItem): string {
  if (item.type === 'open') return 'open';
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
  broker.subscribe({ selector: { serviceIds: ['service'] }, options: ALL });
  t.deepEqual(asked(), [
    ['n1', ['a']],
    ['n2', ['b']],
  ]);
  broker.subscribe({ selector: { taskIds: ['b'] }, options: ALL });
  t.deepEqual(asked(), [['n2', ['b']]]);
  broker.subscribe({ selector: { nodeIds: ['n2'] }, options: ALL });
  t.deepEqual(asked(), [['n2', ['b', 'other']]]);
});

test('lines of all nodes come as one stream, which ends when all nodes are done', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: ALL });
  channel.line('n1', 'a', 'one');
  channel.line('n2', 'b', 'two');
  channel.end('n1');
  channel.line('n2', 'b', 'three');
  channel.end('n2');
  t.deepEqual(await drain(stream), ['one', 'two', 'three']);
});

test('lines of tasks or subscriptions that were not asked for are dropped', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: ALL });
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

test('a last warning says what is missing: nodes away, failing, and tasks without a node', async (t) => {
  const { broker, channel, store, clock } = await world(t);
  await put(store, 'task', taskDraft('waiting', {}));
  await put(store, 'task', servingTask('young', 'n1', 'assigned'));
  await put(store, 'node', nodeDraft('n3', { Status: { State: 'down', Addr: '198.18.0.3' } }));
  await put(store, 'task', servingTask('c', 'n3'));
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: ALL });
  channel.line('n1', 'a', 'one');
  channel.disconnect('n1');
  channel.end('n2', 'no such log');
  const items = drain(stream);
  await clock.advance(NODE_WAIT_MS);
  t.deepEqual(await items, [
    'one',
    `${WARNING}task waiting has not been scheduled, task young has not started yet, ` +
      'node n3 is not available, node n2: no such log, node n1 is not available',
  ]);
});

test('a warning with as many and as long reasons as there may be fits into a frame between managers', async (t) => {
  const { store, channel, broker } = await world(t);
  for (let i = 0; i < 25; i += 1) {
    await put(store, 'node', nodeDraft(`m${i}`));
    channel.nodes.add(`m${i}`);
    await put(store, 'task', servingTask(`t${i}`, `m${i}`));
  }
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: ALL });
  for (const id of ['n1', 'n2']) channel.end(id);
  for (let i = 0; i < 25; i += 1) channel.end(`m${i}`, 'é'.repeat(LOG_ERROR_LIMIT_BYTES / 2));
  const items: LogItem[] = [];
  for await (const item of stream) items.push(item);
  t.is(items.length, 1);
  t.regex(text(items[0]!), /, and 5 more$/);
  t.deepEqual(new LogFrameReader().push(writeLogFrame(items[0]!)), items);
});

test('a node that is back within its time costs no warning, and no line twice', async (t) => {
  const { broker, channel, clock } = await world(t);
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: ALL });
  channel.line('n1', 'a', 'one', 1, { position: '4' });
  channel.disconnect('n1');
  await clock.advance(NODE_WAIT_MS - 1);
  channel.connect('n1');
  t.deepEqual(channel.of('log-subscribe').at(-1)?.resume, [{ taskId: 'a', stdout: '4' }]);
  channel.line('n1', 'a', 'two', 1, { position: '8' });
  channel.end('n1');
  t.deepEqual(await drain(stream), ['one', 'two']);
});

test('without any node to ask the stream is over at once', async (t) => {
  const { broker, channel, store } = await world(t);
  channel.nodes.clear();
  await setNodeState(store, 'n1', 'down');
  const one = broker.subscribe({ selector: { taskIds: ['a'] }, options: ALL });
  t.deepEqual(await drain(one), [`${WARNING}node n1 is not available`]);
  const none = broker.subscribe({ selector: { taskIds: ['none'] }, options: ALL });
  t.deepEqual(await drain(none), []);
});

test('following takes in tasks once their node knows them, and ends when the reader has enough', async (t) => {
  const { broker, channel, store } = await world(t);
  const stream = broker.subscribe({
    selector: { serviceIds: ['service'] },
    options: { ...FOLLOW, tail: 5 },
  });
  t.is(channel.of('log-subscribe').length, 2);
  await put(store, 'task', servingTask('late', 'n1', 'assigned'));
  await put(store, 'task', servingTask('foreign', 'n1', 'preparing', { ServiceID: 'else' }));
  t.is(channel.of('log-subscribe').length, 2, 'its node may not have heard of it');
  await setTaskState(store, 'late', 'preparing');
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
  await put(store, 'task', servingTask('later', 'n1', 'running'));
  t.is(channel.of('log-subscribe').length, 3);
});

test('tasks that join a node in one change share a subscription', async (t) => {
  const { broker, channel, store } = await world(t);
  broker.subscribe({ selector: { serviceIds: ['service'] }, options: FOLLOW });
  await store.transact((tx) => {
    for (const id of ['c', 'd', 'e']) tx.create('task', servingTask(id, 'n1', 'preparing'));
  });
  t.deepEqual(
    channel.of('log-subscribe').map(({ taskIds }) => taskIds),
    [['a'], ['b'], ['c', 'd', 'e']],
  );
});

test('a follower hears once of a node that is away, and goes on where it was cut', async (t) => {
  const { broker, channel, clock } = await world(t);
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: FOLLOW });
  channel.line('n1', 'a', 'one', 7, { position: '4' });
  channel.line('n1', 'a', '', 1, { stream: 'stderr', partial: true, position: '0' });
  channel.disconnect('n1');
  await clock.advance(AWAY_NOTICE_MS);
  await clock.advance(10 * AWAY_NOTICE_MS);
  channel.connect('n1');
  t.like(channel.of('log-subscribe').at(-1), {
    taskIds: ['a'],
    options: { ...FOLLOW, since: '2026-01-01T00:00:07.000000000Z' },
    resume: [{ taskId: 'a', stdout: '4', stderr: '0' }],
  });
  channel.line('n1', 'a', 'two', 8, { position: '8' });
  const items = [];
  for (let count = 0; count < 4; count += 1) items.push((await stream.next()).value as LogItem);
  t.deepEqual(items.map(text), [
    'one',
    '',
    'node n1 is away: its logs go on when it is back',
    'two',
  ]);
  t.like(items[2], { type: 'notice', taskId: 'a' });
});

test('a short absence costs a follower nothing', async (t) => {
  const { broker, channel, clock } = await world(t);
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  channel.disconnect('n1');
  await clock.advance(AWAY_NOTICE_MS - 1);
  channel.connect('n1');
  await clock.advance(10 * AWAY_NOTICE_MS);
  channel.line('n1', 'a', 'on');
  t.is(text((await stream.next()).value as LogItem), 'on');
});

test('lines that an agent without positions sends again are left out', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  for (const [line, second] of [
    ['one', 1],
    ['two', 2],
    ['two too', 2],
  ] as const)
    channel.line('n1', 'a', line, second);
  channel.disconnect('n1');
  channel.connect('n1');
  t.is(channel.of('log-subscribe').at(-1)?.options.since, '2026-01-01T00:00:02.000000000Z');
  for (const [line, second] of [
    ['two', 2],
    ['two too', 2],
    ['new', 2],
    ['three', 3],
  ] as const)
    channel.line('n1', 'a', line, second);
  const seen: string[] = [];
  for (let count = 0; count < 5; count += 1)
    seen.push(text((await stream.next()).value as LogItem));
  t.deepEqual(seen, ['one', 'two', 'two too', 'new', 'three']);
});

test('following a task ends with its log, and a task that has ended at once', async (t) => {
  const { broker, channel, store } = await world(t);
  const running = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  channel.line('n1', 'a', 'last');
  channel.end('n1');
  t.deepEqual(await drain(running), ['last']);
  await setTaskState(store, 'a', 'complete');
  const ended = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  channel.end('n1');
  t.deepEqual(await drain(ended), []);
  await put(
    store,
    'task',
    taskDraft('never', {
      Status: { Timestamp: '2026-01-01T00:00:00Z', State: 'rejected', Message: '' },
    }),
  );
  t.deepEqual(
    await drain(broker.subscribe({ selector: { taskIds: ['never'] }, options: FOLLOW })),
    [],
  );
});

test('a node that is not down is called away late: it may still look for a new leader', async (t) => {
  const { broker, channel, store, clock } = await world(t);
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: FOLLOW });
  channel.disconnect('n1');
  await clock.advance(AWAY_READY_NOTICE_MS - 1);
  channel.connect('n1');
  channel.line('n1', 'a', 'on');
  t.is(text((await stream.next()).value as LogItem), 'on');
  channel.disconnect('n1');
  const node = store.get('node', 'n1')!;
  await store.transact((tx) =>
    tx.update('node', { ...node, Status: { ...node.Status, State: 'down' } }),
  );
  await clock.advance(AWAY_NOTICE_MS);
  t.regex(text((await stream.next()).value as LogItem), /node n1 is away/);
});

test('following an ended task on a node that is away says so and ends; a running one waits', async (t) => {
  const { broker, channel, store, clock } = await world(t);
  channel.disconnect('n1');
  const running = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  await clock.advance(AWAY_READY_NOTICE_MS);
  const away = 'node n1 is away: its logs go on when it is back';
  t.is(text((await running.next()).value as LogItem), away);
  await setTaskState(store, 'a', 'failed');
  t.true((await running.next()).done);
  const ended = drain(broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW }));
  await clock.advance(AWAY_READY_NOTICE_MS);
  t.deepEqual(await ended, [away]);
});

test('a dead node in the history costs a follower of the service one notice', async (t) => {
  const { broker, channel, store, clock } = await world(t);
  for (const id of ['old1', 'old2', 'old3'])
    await put(store, 'task', servingTask(id, 'gone', 'failed'));
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: FOLLOW });
  await clock.advance(100 * AWAY_NOTICE_MS);
  channel.line('n1', 'a', 'on');
  const items = [(await stream.next()).value, (await stream.next()).value] as LogItem[];
  t.deepEqual(items.map(text), [
    'node gone was removed from the cluster, with the logs of its tasks',
    'on',
  ]);
});

test('following a service ends when it is removed and its nodes have sent the rest', async (t) => {
  const { broker, channel, store } = await world(t);
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: FOLLOW });
  channel.end('n2');
  await store.transact((tx) => tx.remove('service', 'service'));
  await store.transact((tx) => tx.remove('task', 'a'));
  channel.line('n1', 'a', 'bye');
  channel.end('n1');
  t.deepEqual(await drain(stream), ['bye']);
});

test('a follower goes on where an earlier stream broke off, with later tasks from their start', async (t) => {
  const { broker, channel } = await world(t);
  broker.subscribe({
    selector: { serviceIds: ['service'] },
    options: { ...FOLLOW, tail: 3 },
    resume: [
      { taskId: 'a', stdout: { timestamp: '2026-01-01T00:00:05Z', pieces: 2, position: '99' } },
    ],
  });
  t.like(channel.of('log-subscribe', 'n1')[0], {
    options: { tail: -1 },
    resume: [{ taskId: 'a', stdout: '99' }],
  });
  t.like(channel.of('log-subscribe', 'n2')[0], { options: { tail: -1 }, resume: [] });
});

test('agents get credit as lines are read, and none while the reader stalls', async (t) => {
  const { broker, channel } = await world(t);
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
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
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: ALL });
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
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  const { creditBytes } = channel.of('log-subscribe')[0]!;
  const line = 'x'.repeat(creditBytes! - 128);
  for (let count = 0; count < 50; count += 1) {
    channel.line('n1', 'a', line, 5, { position: '7' });
    channel.disconnect('n1');
    channel.connect('n1');
  }
  t.is(channel.of('log-subscribe').length, 1, 'it is asked again when the reader has read on');
  t.is(text((await stream.next()).value as LogItem), line);
  t.is(channel.of('log-subscribe').length, 2);
  t.deepEqual(channel.of('log-subscribe')[1]!.resume, [{ taskId: 'a', stdout: '7' }]);
});

test('many subscriptions and a reader that stalls: the flood stops, and loses no line', async (t) => {
  const { broker, channel, store } = await world(t);
  const stream = broker.subscribe({ selector: { serviceIds: ['service'] }, options: FOLLOW });
  for (let count = 0; count < 200; count += 1)
    await put(store, 'task', servingTask(`t${count}`, 'n1', 'running'));
  const kib = 'x'.repeat(16 * 1024);
  let lines = 0;
  for (let count = 0; count < 200; count += 1) {
    const isOpen = channel.of('log-unsubscribe').length === 0;
    channel.line('n1', `t${count}`, kib, 1, { position: '1' });
    if (isOpen) lines += 1;
  }
  t.true(lines * kib.length < STREAM_UNREAD_LIMIT_BYTES + 2 * kib.length);
  const before = channel.of('log-subscribe').length;
  for (let count = 1; count < lines; count += 1) await stream.next();
  const again = channel.of('log-subscribe').slice(before);
  t.deepEqual(again.flatMap(({ taskIds }) => taskIds).length, 201 - lines);
});

test('notices that nobody reads are limited', async (t) => {
  const { broker, channel, clock } = await world(t);
  const stream = broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  for (let count = 0; count < 100; count += 1) {
    channel.disconnect('n1');
    await clock.advance(AWAY_NOTICE_MS);
    channel.connect('n1');
  }
  const items: string[] = [];
  await broker.stop();
  await t.throwsAsync(async () => {
    for await (const item of stream) items.push(text(item));
  });
  t.true(items.length <= 20, `${items.length} notices waited`);
});

test('streams are limited in number, and end when this manager no longer leads', async (t) => {
  const { broker, channel } = await world(t);
  const one = () => broker.subscribe({ selector: { taskIds: ['a'] }, options: FOLLOW });
  const streams = Array.from({ length: LOG_STREAMS_LIMIT }, one);
  t.is(t.throws(one, { instanceOf: ApiError })?.code, 'OVERLOADED');
  await streams[0]!.return?.();
  t.notThrows(one);
  channel.line('n1', 'a', 'last');
  await broker.stop();
  t.is((await t.throwsAsync(drain(streams[1]!), { instanceOf: ApiError }))?.code, 'NO_QUORUM');
  t.is(t.throws(one, { instanceOf: ApiError })?.code, 'NO_QUORUM');
  t.is(channel.of('log-unsubscribe').length, LOG_STREAMS_LIMIT + 1);
});

async function setTaskState(store: TestStore, id: string, state: Task['Status']['State']) {
  await store.transact((tx) => {
    const task = tx.get('task', id)!;
    tx.update('task', { ...task, Status: { ...task.Status, State: state } });
  });
}

async function setNodeState(store: TestStore, id: string, state: NodeState) {
  await store.transact((tx) => {
    const node = tx.get('node', id)!;
    tx.update('node', { ...node, Status: { ...node.Status, State: state } });
  });
}
