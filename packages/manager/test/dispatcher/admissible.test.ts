import { randomBytes } from 'node:crypto';
import {
  type AgentMessage,
  type Logger,
  type NodeDescription,
  nodeShape,
  silentLogger,
  type Task,
  type TaskStatus,
  taskAssignments,
  taskShape,
} from '@swarm/api';
import { MalformedMessage, managerFrameReader, Msgpack, readAgentFrame } from '@swarm/api/wire';
import test from 'ava';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { AddressBook, createAllocator } from '../../src/allocator/index.js';
import { presentNode } from '../../src/api/present/node.js';
import { presentTask } from '../../src/api/present/task.js';
import { observedReady } from '../../src/dispatcher/node-states.js';
import { meshState } from '../../src/dispatcher/mesh-state.js';
import { createOrchestrators } from '../../src/orchestrator/index.js';
import { createScheduler } from '../../src/scheduler/index.js';
import { Codec } from '../../src/store/command.js';
import { nodeDraft, patch, put, serviceDraft } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from '../support/start-time.js';
import { helloOf, PORT, DispatcherWorld } from './harness.js';

// --- What an agent may say: mostly what is right, with something else in any place.

const wild = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\ud800', 'a\udfffb', '\0', '\x1b]0;x\x07', '__proto__', 'x'.repeat(9_000)),
  fc.double(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, -0, 0.5, -1, 2 ** 53, 2 ** 63, Number.NaN, Number.POSITIVE_INFINITY),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array({ maxLength: 8 }),
  fc.constantFrom([], {}, [{}], { Ports: {} }, { length: 3 }),
  fc.dictionary(fc.string(), fc.anything({ maxDepth: 2 }), { maxKeys: 3 }),
);
/** Mostly one of these, else anything. */
const or = (...right: readonly fc.Arbitrary<unknown>[]) =>
  fc.oneof({ weight: 24, arbitrary: fc.oneof(...right) }, { weight: 1, arbitrary: wild });
const words = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.constant('x86_64'));
const size = fc.oneof(fc.nat(), fc.maxSafeInteger(), fc.constant(8 * 1024 ** 3));
const optional = { requiredKeys: [] };

const description = fc.record({
  Hostname: or(words),
  Platform: or(fc.record({ Architecture: or(words), OS: or(words) })),
  Resources: or(fc.record({ NanoCPUs: or(size), MemoryBytes: or(size) }, optional)),
  Engine: or(
    fc.record(
      {
        EngineVersion: or(words),
        Labels: or(fc.dictionary(fc.string(), or(words), { maxKeys: 5 })),
        Plugins: or(fc.array(fc.record({ Type: or(words), Name: or(words) }), { maxLength: 4 })),
      },
      { requiredKeys: ['EngineVersion'] },
    ),
  ),
});
const fewer = fc.record({ Runtime: or(words), MeshBackend: or(words), Later: wild }, optional);
const hello = fc
  .tuple(description, fewer, or(fc.ipV4(), fc.ipV6(), fc.constant('')))
  .map(([given, more, dataPathAddr]) => ({
    ...helloOf({ description: { ...given, ...more } as unknown as NodeDescription }),
    dataPathAddr,
  }));

const timestamps = fc.date({
  noInvalidDate: true,
  min: new Date('0001-01-01'),
  max: new Date('9999-12-31'),
});
const states = [
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
  'complete',
  'failed',
  'rejected',
  'shutdown',
];
const port = fc.record(
  {
    Name: or(words),
    Protocol: or(fc.constantFrom('tcp', 'udp', 'sctp')),
    TargetPort: or(fc.integer({ min: 1, max: 65_535 })),
    PublishedPort: or(fc.constantFrom(8080, 0, 65_535)),
    PublishMode: or(fc.constantFrom('ingress', 'host')),
  },
  { requiredKeys: ['Protocol', 'TargetPort', 'PublishMode'] },
);
const status = fc.record(
  {
    Timestamp: or(timestamps.map((date) => date.toISOString())),
    State: or(fc.constantFrom(...states)),
    Message: or(words),
    Err: or(words),
    ContainerStatus: or(
      fc.record({ ContainerID: or(words), PID: or(size), ExitCode: or(size) }, optional),
    ),
    PortStatus: or(fc.record({ Ports: or(fc.array(port, { maxLength: 3 })) }, optional)),
    Ready: or(fc.boolean()),
    Address: or(fc.ipV4(), fc.ipV6()),
    AppliedAt: or(timestamps.map((date) => date.toISOString())),
  },
  { requiredKeys: ['Timestamp', 'State', 'Message'] },
);

// --- What must hold of all that the codec lets through

const msgpack = new Msgpack();
const agents = new Packr({ useRecords: false });
const readManagerFrame = managerFrameReader(msgpack);
const WIDE = { bytes: 4 * 1024 * 1024, values: 1 << 19, depth: 48 };

/** What the codec makes of a message; undefined when it refuses it. Nothing else may come out of it. */
function admitted(message: unknown): AgentMessage | undefined {
  let frame: Buffer;
  try {
    frame = agents.pack(message);
  } catch {
    return undefined; // No frame can say it.
  }
  try {
    return readAgentFrame(msgpack, frame);
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}

/** A logger that fails the test with what a loop complains of. */
function complaints(): { logger: Logger; errors: unknown[] } {
  const errors: unknown[] = [];
  const logger: Logger = {
    ...silentLogger,
    error: (fields, message) => errors.push([message, fields]),
    child: () => logger,
  };
  return { logger, errors };
}

test('whatever the codec lets through survives JSON and MessagePack unchanged', (t) => {
  const codec = new Codec();
  const message = fc.oneof(
    hello,
    description.map((given) => ({ type: 'description', description: given })),
    fc
      .array(fc.record({ taskId: or(fc.constant('t1')), status }), { minLength: 1, maxLength: 2 })
      .map((updates) => ({ type: 'status', sequence: 1, updates })),
  );
  let passed = 0;
  fc.assert(
    fc.property(message, (sent) => {
      const found = admitted(sent);
      if (found === undefined) return;
      passed += 1;
      t.deepEqual(JSON.parse(JSON.stringify(found)), found);
      t.deepEqual(msgpack.unpack(msgpack.pack(found), WIDE), found);
      t.deepEqual(codec.decode(codec.encode(found)), found);
      t.deepEqual(admitted(found), found);
    }),
    { numRuns: 3_000 },
  );
  t.log(`${passed} of 3000 were let through`);
  t.true(passed > 500);
});

test('whatever the codec lets through is stored, listed, shown, scheduled and meshed', async (t) => {
  let passed = 0;
  const property = fc.asyncProperty(hello, status, async (said, reported) => {
    const found = admitted(said);
    const told = admitted({
      type: 'status',
      sequence: 1,
      updates: [{ taskId: 't1', status: reported }],
    });
    if (found?.type !== 'hello' || told?.type !== 'status') return;
    passed += 1;
    const clock = new VirtualClock(START_MS);
    const { logger, errors } = complaints();
    const store = createTestStore({ clock, logger });
    const context = { store, clock, logger, randomBytes };
    const addresses = new AddressBook(context);
    const loops = [
      addresses,
      createAllocator(context, addresses),
      createScheduler(context, addresses),
      ...createOrchestrators(context),
    ];
    await put(store, 'node', nodeDraft('n1', { Status: { State: 'unknown', Addr: '198.18.0.7' } }));
    await put(store, 'service', serviceDraft('s1', {}, { EndpointSpec: { Ports: [PORT] } }));
    for (const loop of loops) loop.start();
    await clock.advance(1_000);

    await patch(store, 'node', 'n1', (node) =>
      observedReady(node, { hello: found, remoteAddress: '198.18.0.7', protocol: 2 }, undefined),
    );
    await clock.advance(1_000);
    const { status: Status } = told.updates[0]!;
    for (const { ID } of [...store.list('task')]) {
      await patch(store, 'task', ID, (task) => ({ ...task, Status, NodeID: 'n1' }));
    }
    await clock.advance(60_000);
    for (const loop of loops) await loop.stop();

    const update = [...store.list('task')];
    t.true(update.length > 0);
    for (const node of store.list('node')) {
      JSON.stringify(presentNode(node, []));
      t.deepEqual(nodeShape.read(node), node);
    }
    for (const task of update) {
      JSON.stringify(presentTask(store, task, clock.now()));
      t.deepEqual(taskShape.read(task), task);
    }
    // What the leader then says, every agent can read.
    const peersAndPorts = meshState(store, 1);
    const delta = { ...peersAndPorts, base: 0, removedPeers: [], removedPorts: [] };
    const changes = update.map((object) => ({ kind: 'task', action: 'put', object }) as const);
    const envelope = { type: 'assignments', set: 'complete', appliesTo: 0, resultsIn: 1 } as const;
    for (const message of [
      { type: 'mesh', delta } as const,
      { ...envelope, changes },
      taskAssignments({ ...envelope, changes }),
      { type: 'node', node: store.get('node', 'n1')!, managers: [] } as const,
    ])
      t.deepEqual(readManagerFrame(msgpack.pack(message)).setAside, []);
    t.deepEqual(errors, []);
  });
  await fc.assert(property, { numRuns: 400 });
  t.log(`${passed} of 400 were let through`);
  t.true(passed > 30);
});

test('a leader with all its loops takes whatever a node says, and goes on for the others', async (t) => {
  const world = await DispatcherWorld.create(t);
  const { store, clock } = world;
  const { logger, errors } = complaints();
  const context = { store, clock, logger, randomBytes };
  const addresses = new AddressBook(context);
  const loops = [
    addresses,
    createAllocator(context, addresses),
    createScheduler(context, addresses),
    ...createOrchestrators(context),
  ];
  for (const id of ['n1', 'n2']) await put(store, 'node', nodeDraft(id));
  const Mode = { Global: {} };
  await put(store, 'service', serviceDraft('s1', {}, { Mode, EndpointSpec: { Ports: [PORT] } }));
  world.dispatcher.start();
  for (const loop of loops) loop.start();
  const good = await world.join('n2');
  let bad = await world.join('n1');
  const tasksOf = (nodeId: string): Task[] => [...store.tasksByNode(nodeId)];
  let sequence = 0;
  const says = fc.oneof(
    description.map((given) => ({ type: 'description', description: given })),
    status.map((given) => ({ type: 'status', status: given as unknown as TaskStatus })),
  );
  for (const said of fc.sample(says, { numRuns: 150, seed: 7 })) {
    const [task] = tasksOf('n1');
    sequence += 1;
    const message =
      'status' in said
        ? { type: 'status', sequence, updates: [{ taskId: task?.ID ?? 't', status: said.status }] }
        : said;
    try {
      bad.raw(agents.pack(message));
    } catch {
      continue; // No frame can say it.
    }
    await world.roundTrip(good);
    await clock.advance(1_000);
    await world.roundTrip(good);
    if (!bad.closed && bad.of('session-end').length === 0) continue;
    bad = await world.join('n1');
    sequence = 0;
  }
  const [own] = tasksOf('n2').filter(({ DesiredState }) => DesiredState === 'running');
  const status1: TaskStatus = {
    Timestamp: '2026-01-01T00:00:00Z',
    State: 'running',
    Message: 'up',
  };
  good.send({ type: 'status', sequence: 1, updates: [{ taskId: own!.ID, status: status1 }] });
  await world.roundTrip(good);
  await clock.advance(50);
  t.is((await good.next('status-ack')).sequence, 1);
  t.is(store.get('task', own!.ID)?.Status.State, 'running');
  for (const node of store.list('node')) t.notThrows(() => JSON.stringify(node));
  for (const loop of loops) await loop.stop();
  t.deepEqual(errors, []);
});
