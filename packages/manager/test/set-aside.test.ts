import { ApiError, type Logger, silentLogger } from '@swarm/api';
import test from 'ava';
import { WriterStopped } from '../src/dispatcher/batch-writer.js';
import { MeshPublisher } from '../src/dispatcher/mesh-publisher.js';
import { guardedClock } from '../src/guarded-clock.js';
import { ServiceLoop } from '../src/orchestrator/service-loop.js';
import { SetAside } from '../src/set-aside.js';
import { PORT, servingTask } from './dispatcher/harness.js';
import { ingressDraft, nodeDraft, patch, put, serviceDraft } from './support/objects.js';
import { createTestStore } from './support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from './support/start-time.js';

function recorder(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const logger: Logger = { ...silentLogger, error: (_fields, message) => lines.push(message) };
  return { logger: { ...logger, child: () => logger }, lines };
}

function fails(): never {
  throw new TypeError("Cannot read properties of undefined (reading 'Ports')");
}

test('a fault logs its object once per version, and returns the alternative', (t) => {
  const { logger, lines } = recorder();
  const aside = new SetAside(logger);
  const one = { ID: 'one', Version: { Index: 1 } };
  const reasons: string[] = [];
  const work = (unit: typeof one) => aside.guard('task', unit, fails, (why) => reasons.push(why));
  work(one);
  work(one);
  t.is(lines.length, 1);
  t.regex(reasons[0]!, /Cannot read properties/);
  work({ ...one, Version: { Index: 2 } });
  t.is(lines.length, 2);
  t.is(
    aside.guard(
      'task',
      one,
      () => 'fine',
      () => 'instead',
    ),
    'fine',
  );
  for (let i = 0; i < 3_000; i += 1) work({ ID: `n${i}`, Version: { Index: 1 } });
  work({ ...one, Version: { Index: 2 } });
  t.is(lines.length, 3_003, 'what was named long ago is named again: the memory is bounded');
});

test('expected errors are not faults: they go to the caller', (t) => {
  const aside = new SetAside(silentLogger);
  for (const error of [new ApiError('OUT_OF_SEQUENCE', 'x'), new WriterStopped('x')]) {
    const work = () => {
      throw error;
    };
    t.throws(() => aside.attempt('task', { ID: 'a' }, work), { is: error });
  }
  const internal = () => {
    throw new ApiError('INTERNAL', 'task a cannot be stored: Slot: must be a whole number');
  };
  t.notThrows(() => aside.attempt('task', { ID: 'a' }, internal));
});

test('a fault in one event does not stop the others', async (t) => {
  const store = createTestStore();
  const changes = store.record();
  await store.transact((tx) => {
    for (const id of ['a', 'b', 'c']) tx.create('node', nodeDraft(id));
  });
  const seen: string[] = [];
  new SetAside(silentLogger).events(changes[0]!.events, ({ object }) => {
    if (object.ID === 'b') fails();
    seen.push(object.ID);
  });
  t.deepEqual(seen, ['a', 'c']);
});

test('a service that an orchestrator fails on is left as it is, and tried again when it changes', async (t) => {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const { logger, lines } = recorder();
  const runs: string[] = [];
  let isBad = true;
  const loop = new ServiceLoop({
    context: { store, clock, logger, randomBytes: (size) => new Uint8Array(size) },
    name: 'orchestrator',
    nodeMatches: () => true,
    matches: () => true,
    watchesAllNodes: false,
    reconcile: (pass) => {
      runs.push(pass.service.ID);
      if (pass.service.ID !== 'bad' || !isBad) return;
      pass.create({ slot: 1, desiredState: 'running' });
      fails();
    },
  });
  for (const id of ['bad', 'good']) await put(store, 'service', serviceDraft(id));
  loop.start();
  await clock.advance(10_000);
  t.deepEqual(runs.sort(), ['bad', 'good']);
  t.is(store.count('task'), 0, 'half of a pass is not written');
  await clock.advance(10 * 60_000);
  t.true(runs.length > 2, 'time may mend it');
  t.is(lines.length, 1, 'but it is named once');
  isBad = false;
  const before = runs.length;
  await patch(store, 'service', 'bad', (service) => ({ ...service, PendingDelete: true }));
  await clock.advance(100);
  t.is(runs.length, before + 1);
  await loop.stop();
});

test('a service whose mesh cannot be computed keeps the one it had, and others follow', async (t) => {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const { logger, lines } = recorder();
  const Mesh = { Index: 1, Address: '198.18.0.7', Subnet: '10.240.1.0/24' };
  await put(store, 'node', nodeDraft('n1', { Mesh }));
  const other = { ...PORT, PublishedPort: 9_999 };
  await put(store, 'service', serviceDraft('a', { Endpoint: { Spec: {}, Ports: [PORT] } }));
  await put(store, 'service', serviceDraft('b', { Endpoint: { Spec: {}, Ports: [other] } }));
  await put(store, 'network', ingressDraft());
  let isBad = false;
  const view = new Proxy(store, {
    get: (target, name) => {
      if (name === 'tasksByService' && isBad)
        return (id: string) => (id === 'a' ? fails() : target.tasksByService(id));
      const value: unknown = Reflect.get(target, name, target);
      // Private fields need the original receiver.
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const publisher = new MeshPublisher(view, clock, new SetAside(logger), () => {});
  store.watch(({ events, index }) => {
    for (const event of events) publisher.note(event, index);
  });
  publisher.start();
  await put(store, 'task', servingTask('t1', 'n1', 'running', { ServiceID: 'a' }));
  await clock.advance(1_000);
  isBad = true;
  await put(store, 'task', servingTask('t2', 'n1', 'running', { ServiceID: 'a' }));
  const Endpoint = { Ports: [other] };
  await put(store, 'task', servingTask('t3', 'n1', 'running', { ServiceID: 'b', Endpoint }));
  await clock.advance(1_000);
  const endpoints = publisher.state.ports.map((port) => port.endpoints.map(({ taskId }) => taskId));
  t.deepEqual(endpoints, [['t1'], ['t3']]);
  t.is(lines.length, 1);
  publisher.stop();
});

test('a timer that throws is logged, and ends nothing', async (t) => {
  const inner = new VirtualClock(START_MS);
  const { logger, lines } = recorder();
  const clock = guardedClock(inner, logger);
  let ran = 0;
  clock.setTimeout(fails, 10);
  clock.setImmediate(fails);
  const timer = clock.setTimeout(fails, 10);
  clock.clearTimeout(timer);
  clock.setTimeout(() => (ran += 1), 20);
  await inner.advance(30);
  t.is(ran, 1);
  t.is(lines.length, 2);
  t.is(clock.now(), inner.now());
});
