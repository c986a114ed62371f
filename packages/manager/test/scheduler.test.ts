import { type Node, type NodeDescription, silentLogger, type Task } from '@swarm/api';
import test from 'ava';
import { AddressBook } from '../src/allocator/index.js';
import { createScheduler } from '../src/scheduler/index.js';
import { NETWORKS_LEVEL } from '../src/store/feature-levels.js';
import { transactInBatches } from '../src/store/batches.js';
import type { Draft } from '../src/store/store.js';
import {
  clusterDraft,
  ingressDraft,
  networkDraft,
  nodeDraft,
  patch,
  put,
  taskDraft,
  serviceDraft,
} from './support/objects.js';
import { createTestStore, type TestStore } from './support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from './support/start-time.js';

const GIB = 1024 ** 3;
type TaskPatch = Partial<Draft<'task'>>;

function setup() {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const randomBytes = (size: number) => new Uint8Array(size);
  const context = { store, clock, logger: silentLogger, randomBytes };
  const addresses = new AddressBook(context);
  addresses.start();
  const scheduler = createScheduler(context, addresses);
  return { clock, store, addresses, scheduler, pass: () => clock.advance(100) };
}

let lastSlot = 0;

/** Each task is in a slot of its own. */
const pending = (id: string, more: TaskPatch = {}): Draft<'task'> =>
  taskDraft(id, {
    Slot: ++lastSlot,
    Status: {
      Timestamp: '2026-01-01T00:00:00.000Z',
      State: 'pending',
      Message: 'pending task scheduling',
    },
    ...more,
  });
const running = (id: string, NodeID: string, more: TaskPatch = {}): Draft<'task'> =>
  taskDraft(id, {
    Slot: ++lastSlot,
    NodeID,
    Status: { Timestamp: '2026-01-01T00:00:00.000Z', State: 'running', Message: 'started' },
    ...more,
  });
const spec = (more: Partial<Task['Spec']>): TaskPatch => ({
  Spec: { ContainerSpec: { Image: 'nginx' }, ForceUpdate: 0, ...more },
});
const reserve = (NanoCPUs: number, MemoryBytes: number) =>
  spec({ Resources: { Reservations: { NanoCPUs, MemoryBytes } } });
const labelled = (id: string, Labels: Record<string, string>) =>
  nodeDraft(id, { Spec: { Labels, Role: 'worker', Availability: 'active' } });
const described = (id: string, more: Partial<NodeDescription>) =>
  nodeDraft(id, { Description: { ...nodeDraft(id).Description!, ...more } });
/** With a place in the mesh. */
const placed = (id: string, Index: number, more: Partial<NodeDescription>) => ({
  ...described(id, more),
  Mesh: { Index, Address: `198.18.0.${Index % 250}`, Subnet: '10.240.1.0/24' },
});
const setState = (store: TestStore, id: string, State: Task['Status']['State']) =>
  patch(store, 'task', id, (task) => ({ ...task, Status: { ...task.Status, State } }));
const nodeOf = (store: TestStore, id: string) => store.get('task', id)?.NodeID;
const errOf = (store: TestStore, id: string) => store.get('task', id)?.Status.Err;

function perNode(store: TestStore, matches: (task: Task) => boolean = () => true) {
  const counts: Record<string, number> = {};
  for (const task of store.list('task')) {
    if (task.NodeID !== undefined && matches(task))
      counts[task.NodeID] = (counts[task.NodeID] ?? 0) + 1;
  }
  return counts;
}

// SwarmKit: TestScheduler, TestSchedulerNoReadyNodes.
test('a task waits for a ready node and is assigned when one comes', async (t) => {
  const { store, scheduler, pass } = setup();
  scheduler.start();
  await put(store, 'task', pending('t1'));
  await pass();
  t.is(errOf(store, 't1'), 'no suitable node');
  await put(store, 'node', nodeDraft('n1', { Status: { State: 'down', Addr: '' } }));
  await pass();
  t.is(errOf(store, 't1'), 'no suitable node (1 node not available for new tasks)');
  t.is(store.get('task', 't1')?.Status.State, 'pending');
  const since = store.get('task', 't1')?.Status.Timestamp;
  t.is(since, '2026-01-01T00:00:00.000Z', 'another reason does not make the state young again');
  await patch(store, 'node', 'n1', (node) => ({ ...node, Status: { State: 'ready', Addr: '' } }));
  await pass();
  const task = store.get('task', 't1');
  t.is(task?.NodeID, 'n1');
  t.is(task?.Status.State, 'assigned');
  t.is(task?.Status.Message, 'scheduler assigned task to node');
  t.false('Err' in task!.Status);
});

for (const Availability of ['pause', 'drain'] as const) {
  test(`a node in availability ${Availability} gets no task`, async (t) => {
    const { store, scheduler, pass } = setup();
    await put(
      store,
      'node',
      nodeDraft('n1', { Spec: { Labels: {}, Role: 'worker', Availability } }),
    );
    await put(store, 'task', pending('t1'));
    scheduler.start();
    await pass();
    t.is(errOf(store, 't1'), 'no suitable node (1 node not available for new tasks)');
  });
}

test('an assignment follows its cause within 5 ms when nothing else happens', async (t) => {
  const { store, scheduler, clock } = setup();
  await put(store, 'node', nodeDraft('n1'));
  scheduler.start();
  await clock.advance(100);
  await put(store, 'task', pending('t1'));
  await clock.advance(4);
  t.is(nodeOf(store, 't1'), undefined);
  await clock.advance(1);
  t.is(nodeOf(store, 't1'), 'n1');
});

test('a stream of events delays a pass by 50 ms at most', async (t) => {
  const { store, scheduler, clock } = setup();
  await put(store, 'node', nodeDraft('n1'));
  scheduler.start();
  await clock.advance(100);
  let placedAfter: number | undefined;
  for (let ms = 0; ms < 100 && placedAfter === undefined; ms += 4) {
    await put(store, 'task', pending(`t${ms}`));
    await clock.advance(4);
    if (nodeOf(store, 't0') !== undefined) placedAfter = ms + 4;
  }
  t.true(placedAfter !== undefined && placedAfter > 20 && placedAfter <= 52, String(placedAfter));
});

// SwarmKit: TestHA.
test('a service is spread before total load is looked at', async (t) => {
  const { store, scheduler, pass } = setup();
  for (const id of ['n1', 'n2', 'n3']) await put(store, 'node', nodeDraft(id));
  for (let i = 0; i < 5; i++) {
    await put(store, 'task', running(`old${i}`, 'n1', { ServiceID: 'other' }));
  }
  for (let i = 0; i < 6; i++) await put(store, 'task', pending(`t${i}`));
  scheduler.start();
  await pass();
  const mine = (task: Task) => task.ServiceID === 'service';
  t.deepEqual(perNode(store, mine), { n1: 2, n2: 2, n3: 2 });
  await put(store, 'task', pending('one', { ServiceID: 'third' }));
  await pass();
  t.not(nodeOf(store, 'one'), 'n1');
});

test('tasks that should stop do not count for the spread', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  await put(store, 'node', nodeDraft('n2'));
  for (let i = 0; i < 3; i++)
    await put(store, 'task', running(`old${i}`, 'n1', { DesiredState: 'shutdown' }));
  await put(store, 'task', running('new', 'n2'));
  await put(store, 'task', pending('t'));
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 't'), 'n1');
});

// SwarmKit: TestSchedulerFaultyNode, TestSchedulerFaultyNodeSpecVersion.
test('a node with five failures in five minutes comes last, for that spec version only', async (t) => {
  const { store, scheduler, clock, pass } = setup();
  await put(store, 'node', nodeDraft('bad'));
  await put(store, 'node', nodeDraft('good'));
  scheduler.start();
  for (let i = 0; i < 5; i++) {
    await put(store, 'task', running(`f${i}`, 'bad'));
    await setState(store, `f${i}`, 'failed');
  }
  for (let i = 0; i < 3; i++) await put(store, 'task', pending(`t${i}`));
  await put(store, 'task', pending('v2', { SpecVersion: { Index: 2 }, ServiceID: 'service' }));
  await pass();
  t.deepEqual(
    ['t0', 't1', 't2'].map((id) => nodeOf(store, id)),
    ['good', 'good', 'good'],
  );
  t.is(nodeOf(store, 'v2'), 'bad');
  await clock.advance(5 * 60_000);
  await put(store, 'task', pending('later'));
  await pass();
  t.is(nodeOf(store, 'later'), 'bad');
});

test('a new leader knows the failures of tasks that are still stored', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('bad'));
  await put(store, 'node', nodeDraft('good'));
  for (let i = 0; i < 5; i++) {
    await put(store, 'task', running(`f${i}`, 'bad'));
    await setState(store, `f${i}`, 'rejected');
  }
  await put(store, 'task', pending('t'));
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 't'), 'good');
});

// SwarmKit: TestSchedulerResourceConstraint, TestSchedulerResourceConstraintHA.
test('reservations are kept, and what does not fit waits and says so', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('small', { Resources: { NanoCPUs: 1e9, MemoryBytes: GIB } }));
  await put(
    store,
    'node',
    described('large', { Resources: { NanoCPUs: 4e9, MemoryBytes: 2 * GIB } }),
  );
  for (let i = 0; i < 4; i++) await put(store, 'task', pending(`t${i}`, reserve(1e9, GIB)));
  scheduler.start();
  await pass();
  t.deepEqual(perNode(store), { small: 1, large: 2 });
  t.is(errOf(store, 't3'), 'no suitable node (insufficient resources on 2 nodes)');
  const entries = store.entries;
  await put(store, 'node', nodeDraft('n3', { Status: { State: 'down', Addr: '' } }));
  await pass();
  t.is(
    errOf(store, 't3'),
    'no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks)',
  );
  t.is(store.entries, entries + 2, 'the text is written when it changes, and only then');
});

// SwarmKit: TestSchedulerResourceConstraintDeadTask, TestSchedulerPreexistingDeadTask.
test('a stopping task holds its resources until it reports that it has ended', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('n1', { Resources: { NanoCPUs: 1e9, MemoryBytes: GIB } }));
  await put(store, 'task', running('old', 'n1', { ...reserve(1e9, 0), DesiredState: 'shutdown' }));
  await put(store, 'task', running('dead', 'n1', reserve(1e9, 0)));
  await setState(store, 'dead', 'failed');
  await put(store, 'task', pending('new', reserve(1e9, 0)));
  scheduler.start();
  await pass();
  t.is(errOf(store, 'new'), 'no suitable node (insufficient resources on 1 node)');
  await setState(store, 'old', 'shutdown');
  await pass();
  t.is(nodeOf(store, 'new'), 'n1');
});

test('removing a task makes room for a waiting one', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('n1', { Resources: { NanoCPUs: 1e9, MemoryBytes: GIB } }));
  await put(store, 'task', running('old', 'n1', reserve(1e9, 0)));
  await put(store, 'task', pending('new', reserve(1e9, 0)));
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'new'), undefined);
  await store.transact((transaction) => transaction.remove('task', 'old'));
  await pass();
  t.is(nodeOf(store, 'new'), 'n1');
});

// SwarmKit: TestSchedulerPluginConstraint.
test('volume and log drivers must be there; nodes without log drivers are not asked for them', async (t) => {
  const { store, scheduler, pass } = setup();
  const Plugins = [
    { Type: 'Volume', Name: 'local' },
    { Type: 'Volume', Name: 'nfs' },
    { Type: 'Log', Name: 'json-file' },
  ];
  await put(store, 'node', described('plain', {}));
  await put(store, 'node', described('rich', { Engine: { EngineVersion: '1', Plugins } }));
  const volume = (Name: string) =>
    spec({
      ContainerSpec: {
        Image: 'nginx',
        Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { DriverConfig: { Name } } }],
      },
    });
  await put(store, 'task', pending('a', volume('nfs')));
  await put(store, 'task', pending('b', { ...volume('ceph'), ServiceID: 'b' }));
  await put(
    store,
    'task',
    pending('c', { ...spec({ LogDriver: { Name: 'gelf' } }), ServiceID: 'c' }),
  );
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'a'), 'rich');
  t.is(errOf(store, 'b'), 'no suitable node (missing plugin on 2 nodes)');
  t.is(nodeOf(store, 'c'), 'plain');
});

test('a task waits for a node whose runtime can do what it needs, and says which need that is', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'cluster', clusterDraft('cluster'));
  await put(
    store,
    'node',
    described('n1', {
      Runtime: 'future',
      RuntimeCapabilities: ['host-commands', 'limits', 'wings'],
    }),
  );
  await put(store, 'node', described('n2', { RuntimeCapabilities: ['images', 'rootfs'] }));
  const wish = (id: string, more: Parameters<typeof spec>[0]) =>
    put(store, 'task', pending(id, { ...spec(more), ServiceID: id }));
  const Mounts = [{ Type: 'tmpfs', Target: '/x' }] as const;
  await wish('image', { ContainerSpec: { Image: 'nginx' } });
  await wish('host', { ContainerSpec: { Image: 'host' } });
  await wish('rootfs', { ContainerSpec: { Image: 'nginx', Mounts } });
  await wish('both', { ContainerSpec: { Image: 'host', Mounts } });
  await wish('tty', { ContainerSpec: { Image: 'nginx', TTY: true } });
  await wish('none', {
    ContainerSpec: { Image: 'nginx', Sysctls: { 'net.core.somaxconn': '9' } },
    Placement: { Constraints: ['node.hostname != n9'] },
  });
  await wish('limited', {
    ContainerSpec: { Image: 'host' },
    Resources: { Limits: { MemoryBytes: GIB } },
  });
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'image'), 'n2');
  t.is(nodeOf(store, 'host'), 'n1');
  t.is(nodeOf(store, 'rootfs'), 'n2');
  t.is(nodeOf(store, 'limited'), 'n1');
  t.is(
    errOf(store, 'both'),
    'no suitable node (1 node cannot give tasks a root file system (ReadOnly, Mounts, Hosts, DNSConfig): use an image, or remove the field; 1 node cannot run commands of its host: use an image other than "host", or start a daemon with --runtime process)',
  );
  t.regex(errOf(store, 'tty') ?? '', /1 node cannot give tasks a terminal/);
  t.regex(errOf(store, 'none') ?? '', /1 node cannot set Sysctls/);
});

test('a task in a network of its host goes where the runtime can put it there', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('old', { Runtime: 'docker' }));
  await put(
    store,
    'node',
    described('new', { RuntimeCapabilities: ['images', 'network-host', 'network-none'] }),
  );
  const wish = (id: string, Target: string) =>
    put(
      store,
      'task',
      pending(id, {
        ...spec({ ContainerSpec: { Image: 'nginx' }, Networks: [{ Target }] }),
        ServiceID: id,
      }),
    );
  for (const network of ['host', 'none', 'bridge']) await wish(network, network);
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'host'), 'new');
  t.is(nodeOf(store, 'none'), 'new');
  t.regex(errOf(store, 'bridge') ?? '', /no node can put tasks into the engine's default bridge/);
});

test('a task on networks of the cluster goes to nodes that carry them, and encrypted ones nowhere yet', async (t) => {
  const { store, scheduler, addresses, pass } = setup();
  await put(store, 'node', described('user', { RuntimeCapabilities: ['images', 'network-none'] }));
  await put(store, 'node', described('old', { Runtime: 'docker' }));
  const { Spec } = networkDraft('x');
  const Subnets = [{ Subnet: '10.1.0.0/24', Gateway: '10.1.0.1' }];
  await put(store, 'network', networkDraft('plain', { Subnets }));
  const encrypted = { ...Spec, Name: 'encrypted', DriverOpts: { encrypted: '' } };
  await put(store, 'network', networkDraft('secret', { Spec: encrypted, Subnets }));
  const wish = (id: string, ...targets: readonly string[]) => {
    const Networks = targets.map((Target) => ({ Target }));
    const more = spec({ ContainerSpec: { Image: 'nginx' }, Networks });
    return put(store, 'task', pending(id, { ...more, ServiceID: id }));
  };
  await wish('a', 'plain');
  scheduler.start();
  await pass();
  t.is(
    errOf(store, 'a'),
    'no suitable node (no node can attach tasks to a network of the cluster: start a daemon as root on a host with nftables, or remove the network)',
  );
  const RuntimeCapabilities = ['images', 'network-overlay'];
  await put(store, 'node', placed('new', 1, { RuntimeCapabilities }));
  await wish('b', 'plain', 'encrypted');
  await pass();
  t.is(nodeOf(store, 'a'), 'new');
  t.is(nodeOf(store, 'b'), undefined);
  t.regex(
    errOf(store, 'b') ?? '',
    /1 node cannot encrypt the traffic of a network \(option encrypted\): create the network again/,
  );
  await put(
    store,
    'node',
    placed('keys', 2, { RuntimeCapabilities: [...RuntimeCapabilities, 'network-encrypted'] }),
  );
  await pass();
  t.is(nodeOf(store, 'b'), 'keys');
  await addresses.stop();
});

test('a task on networks of services goes to no node that has no block of the ingress network', async (t) => {
  const { store, scheduler, addresses, pass } = setup();
  const RuntimeCapabilities = ['images', 'network-overlay'];
  const range = (Newest: number) => ({ Oldest: 1, Newest });
  const program = (Newest: number) => ({
    ...{ Version: '1', Protocol: range(1), FeatureLevel: range(Newest) },
  });
  const Program = program(NETWORKS_LEVEL);
  const ingress = ingressDraft('ing');
  const Subnets = [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.1' }];
  await put(store, 'network', { ...ingress, Subnets });
  await put(
    store,
    'network',
    networkDraft('back', { Subnets: [{ Subnet: '10.1.0.0/24', Gateway: '10.1.0.1' }] }),
  );
  const old = { RuntimeCapabilities, Program: program(NETWORKS_LEVEL - 1) };
  await put(store, 'node', placed('old', 1, old));
  await put(store, 'node', placed('far', 300, { RuntimeCapabilities, Program }));
  await put(store, 'node', described('new', { RuntimeCapabilities, Program }));
  const more = spec({ ContainerSpec: { Image: 'nginx' }, Networks: [{ Target: 'back' }] });
  await put(store, 'task', pending('a', more));
  scheduler.start();
  await pass();
  t.regex(errOf(store, 'a') ?? '', /no block of the ingress network for 3 nodes: upgrade nodes/);
  const { Mesh } = placed('new', 2, {});
  await patch(store, 'node', 'new', (node) => ({ ...node, Mesh }));
  await pass();
  t.is(nodeOf(store, 'a'), 'new');
  await addresses.stop();
});

test('a task of a service that admits only some goes to nodes that enforce it', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('user', { RuntimeCapabilities: ['images'] }));
  const service = serviceDraft('s1');
  const EndpointSpec = { Allow: [{ From: 'web' }] };
  await put(store, 'service', { ...service, Spec: { ...service.Spec, EndpointSpec } });
  const more = spec({ ContainerSpec: { Image: 'nginx' } });
  await put(store, 'task', pending('a', { ...more, ServiceID: 's1' }));
  await put(store, 'task', pending('b', { ...more, ServiceID: 'other' }));
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'b'), 'user');
  t.regex(errOf(store, 'a') ?? '', /no node can enforce who may connect to it \(Allow\): start a/);
  await put(
    store,
    'node',
    described('root', { RuntimeCapabilities: ['images', 'network-overlay'] }),
  );
  await pass();
  t.is(nodeOf(store, 'a'), 'root');
});

test('a task goes on at once when the rules of its service go', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('user', { RuntimeCapabilities: ['images'] }));
  const service = serviceDraft('s1');
  const EndpointSpec = { Allow: [{ From: 'web' }] };
  await put(store, 'service', { ...service, Spec: { ...service.Spec, EndpointSpec } });
  const more = spec({ ContainerSpec: { Image: 'nginx' } });
  await put(store, 'task', pending('a', { ...more, ServiceID: 's1' }));
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'a'), undefined);
  await patch(store, 'service', 's1', (one) => ({ ...one, Spec: service.Spec }));
  await pass();
  t.is(nodeOf(store, 'a'), 'user');
});

test('a node of an older version, which declares nothing, is known by the name of its runtime', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('n1', { Runtime: 'process' }));
  await put(store, 'task', pending('a'));
  await put(
    store,
    'task',
    pending('b', { ...spec({ ContainerSpec: { Image: 'host' } }), ServiceID: 'b' }),
  );
  scheduler.start();
  await pass();
  t.is(
    errOf(store, 'a'),
    'no suitable node (no node can run images: use the image "host" with a command of the host, or start a daemon with --runtime docker)',
  );
  t.is(nodeOf(store, 'b'), 'n1');
});

test('a task keeps the policy for host privileges of the moment it is placed', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('n1', { Runtime: 'process' }));
  const host = (id: string, more: TaskPatch = {}) =>
    put(
      store,
      'task',
      pending(id, { ...spec({ ContainerSpec: { Image: 'host' } }), ServiceID: id, ...more }),
    );
  const policyOf = (id: string) => store.get('task', id)?.HostPrivileges;
  scheduler.start();
  await host('a');
  await pass();
  t.is(nodeOf(store, 'a'), 'n1');
  t.is(policyOf('a'), undefined);
  await put(store, 'cluster', clusterDraft('cluster', { HostPrivileges: 'capabilities' }));
  await host('b');
  // As a global service places it.
  await host('c', { NodeID: 'n1' });
  await pass();
  t.deepEqual([policyOf('b'), policyOf('c')], ['capabilities', 'capabilities']);
  t.is(policyOf('a'), undefined, 'what runs is left alone');
});

// SwarmKit: TestSchedulerCompatiblePlatform.
test('platforms match by either name of an architecture', async (t) => {
  const { store, scheduler, pass } = setup();
  const Platform = { Architecture: 'aarch64', OS: 'linux' };
  await put(store, 'node', described('arm', { Platform }));
  await put(store, 'node', nodeDraft('x86'));
  const on = (ServiceID: string, Platforms: object[]) => ({
    ...spec({ Placement: { Platforms } }),
    ServiceID,
  });
  await put(store, 'task', pending('a', on('a', [{ Architecture: 'amd64', OS: 'linux' }])));
  await put(store, 'task', pending('b', on('b', [{ Architecture: 'arm64' }, { OS: 'windows' }])));
  await put(store, 'task', pending('c', on('c', [{ Architecture: 's390x', OS: 'linux' }])));
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'a'), 'x86');
  t.is(nodeOf(store, 'b'), 'arm');
  t.is(errOf(store, 'c'), 'no suitable node (unsupported platform on 2 nodes)');
});

test('constraints narrow the choice, and a label change is seen', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', labelled('n1', { disk: 'hdd' }));
  await put(store, 'node', labelled('n2', {}));
  await put(
    store,
    'task',
    pending('t', spec({ Placement: { Constraints: ['node.labels.disk == ssd'] } })),
  );
  scheduler.start();
  await pass();
  t.is(errOf(store, 't'), 'no suitable node (scheduling constraints not satisfied on 2 nodes)');
  await patch(
    store,
    'node',
    'n2',
    (node): Node => ({ ...node, Spec: { ...node.Spec, Labels: { disk: 'SSD' } } }),
  );
  await pass();
  t.is(nodeOf(store, 't'), 'n2');
});

// SwarmKit: TestSchedulerHostPort.
test('a host-mode port is used once per node, until its task has ended', async (t) => {
  const { store, scheduler, pass } = setup();
  const Mesh = (Index: number) => ({
    Index,
    Address: '198.18.0.7',
    Subnet: `10.240.${Index}.0/24`,
  });
  await put(store, 'network', ingressDraft('ing'));
  await put(store, 'node', nodeDraft('n1', { Mesh: Mesh(1) }));
  await put(store, 'node', nodeDraft('n2', { Mesh: Mesh(2) }));
  const port = {
    Protocol: 'tcp',
    TargetPort: 80,
    PublishedPort: 8080,
    PublishMode: 'host',
  } as const;
  const Endpoint = { Ports: [port] };
  for (const id of ['a', 'b', 'c']) await put(store, 'task', pending(id, { Endpoint }));
  const udp = { Ports: [{ ...port, Protocol: 'udp' }] } as const;
  await put(store, 'task', pending('u', { Endpoint: udp, ServiceID: 'u' }));
  scheduler.start();
  await pass();
  t.deepEqual([nodeOf(store, 'a'), nodeOf(store, 'b')].sort(), ['n1', 'n2']);
  t.is(errOf(store, 'c'), 'no suitable node (host-mode port already in use on 2 nodes)');
  t.truthy(nodeOf(store, 'u'));
  const freed = nodeOf(store, 'a') as string;
  await patch(store, 'task', 'a', (task) => ({ ...task, DesiredState: 'shutdown' }));
  await pass();
  t.is(nodeOf(store, 'c'), undefined);
  await setState(store, 'a', 'shutdown');
  await pass();
  t.is(nodeOf(store, 'c'), freed);
});

// SwarmKit: TestSchedulerMaxReplicas.
test('max replicas per node counts tasks that should run, and not stopping ones', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  const limited = spec({ Placement: { MaxReplicas: 2 } });
  for (const id of ['a', 'b', 'c']) await put(store, 'task', pending(id, limited));
  scheduler.start();
  await pass();
  t.deepEqual(perNode(store), { n1: 2 });
  t.is(errOf(store, 'c'), 'no suitable node (max replicas per node limit exceed)');
  await patch(store, 'task', 'a', (task) => ({ ...task, DesiredState: 'shutdown' }));
  await pass();
  t.is(nodeOf(store, 'c'), 'n1');
});

// SwarmKit: TestPreferences, TestTreeTaskCountConsistency.
test('a spread preference levels the branches, nodes without the label being one', async (t) => {
  const { store, scheduler, pass } = setup();
  for (const id of ['a1', 'a2', 'a3']) await put(store, 'node', labelled(id, { az: 'a' }));
  await put(store, 'node', labelled('b1', { az: 'b' }));
  await put(store, 'node', labelled('x1', {}));
  const Preferences = [{ Spread: { SpreadDescriptor: 'node.labels.az' } }];
  for (let i = 0; i < 9; i++)
    await put(store, 'task', pending(`t${i}`, spec({ Placement: { Preferences } })));
  scheduler.start();
  await pass();
  t.deepEqual(perNode(store), { a1: 1, a2: 1, a3: 1, b1: 3, x1: 3 });
});

// SwarmKit: TestMultiplePreferences.
test('several preferences are levelled one below the other, and a full branch is skipped', async (t) => {
  const { store, scheduler, pass } = setup();
  const at = (id: string, az: string, rack: string, cpus = 8) =>
    nodeDraft(id, {
      Spec: { Labels: { az, rack }, Role: 'worker', Availability: 'active' },
      Description: {
        ...nodeDraft(id).Description!,
        Resources: { NanoCPUs: cpus * 1e9, MemoryBytes: GIB },
      },
    });
  await put(store, 'node', at('a1', 'a', 'r1'));
  await put(store, 'node', at('a2', 'a', 'r1'));
  await put(store, 'node', at('a3', 'a', 'r2'));
  await put(store, 'node', at('b1', 'b', 'r1', 1));
  const Preferences = ['node.labels.az', 'node.labels.rack'].map((SpreadDescriptor) => ({
    Spread: { SpreadDescriptor },
  }));
  const Resources = { Reservations: { NanoCPUs: 1e9 } };
  for (let i = 0; i < 9; i++)
    await put(store, 'task', pending(`t${i}`, spec({ Placement: { Preferences }, Resources })));
  scheduler.start();
  await pass();
  t.deepEqual(perNode(store), { a1: 2, a2: 2, a3: 4, b1: 1 });
});

// SwarmKit: TestMultiplePreferencesScaleUp.
test('scaling up levels branches with the tasks that are there already', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', labelled('a1', { az: 'a' }));
  await put(store, 'node', labelled('b1', { az: 'b' }));
  const Preferences = [{ Spread: { SpreadDescriptor: 'node.labels.az' } }];
  const placed = spec({ Placement: { Preferences } });
  for (let i = 0; i < 3; i++) await put(store, 'task', running(`old${i}`, 'a1', placed));
  for (let i = 0; i < 3; i++) await put(store, 'task', pending(`t${i}`, placed));
  scheduler.start();
  await pass();
  t.deepEqual(perNode(store), { a1: 3, b1: 3 });
});

// SwarmKit: TestPreassignedTasks.
test('a pre-assigned task is confirmed on its node or waits for it', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', described('n1', { Resources: { NanoCPUs: 1e9, MemoryBytes: GIB } }));
  await put(store, 'node', nodeDraft('n2'));
  await put(store, 'task', pending('a', { ...reserve(1e9, 0), NodeID: 'n1', Slot: 0 }));
  await put(
    store,
    'task',
    pending('b', { ...reserve(1e9, 0), NodeID: 'n1', Slot: 0, ServiceID: 'b' }),
  );
  await put(store, 'task', pending('c', { NodeID: 'gone', Slot: 0 }));
  scheduler.start();
  await pass();
  t.is(store.get('task', 'a')?.Status.State, 'assigned');
  t.is(
    store.get('task', 'a')?.Status.Message,
    'scheduler confirmed task can run on preassigned node',
  );
  t.is(errOf(store, 'b'), 'insufficient resources on 1 node');
  t.is(errOf(store, 'c'), 'node gone does not exist');
  await setState(store, 'a', 'failed');
  await pass();
  t.is(store.get('task', 'b')?.Status.State, 'assigned');
});

// SwarmKit: TestIgnoreTasks.
test('tasks that are new, told to stop, or placed are left alone', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  await put(store, 'task', taskDraft('new'));
  await put(store, 'task', pending('stop', { DesiredState: 'shutdown' }));
  await put(store, 'task', running('run', 'n1'));
  const entries = store.entries;
  scheduler.start();
  await pass();
  t.is(store.entries, entries);
});

test('tasks with published ports get addresses of their node in turn', async (t) => {
  const { store, addresses, scheduler, pass } = setup();
  await put(store, 'network', ingressDraft('ing'));
  await put(
    store,
    'node',
    nodeDraft('n1', { Mesh: { Index: 300, Address: '198.18.0.7', Subnet: '10.241.44.0/24' } }),
  );
  const Endpoint = {
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }],
  } as const;
  const address = (id: string) => store.get('task', id)?.NetworksAttachments?.[0]?.Addresses[0];
  scheduler.start();
  await put(store, 'task', pending('t1', { Endpoint }));
  await put(store, 'task', pending('t2', { Endpoint }));
  await put(store, 'task', pending('plain', { ServiceID: 'plain' }));
  await pass();
  t.deepEqual(store.get('task', 't1')?.NetworksAttachments, [
    {
      Network: { ID: 'ing', Spec: { Name: 'ingress', Ingress: true } },
      Addresses: ['10.241.44.2/32'],
    },
  ]);
  t.is(address('t2'), '10.241.44.3/32');
  t.false('NetworksAttachments' in store.get('task', 'plain')!);
  // A freed address rests while others are unused.
  await store.transact((transaction) => transaction.remove('task', 't1'));
  await put(store, 'task', pending('t3', { Endpoint }));
  await pass();
  t.is(address('t3'), '10.241.44.4/32');
  // A new leader continues after the newest task's address.
  await scheduler.stop();
  await addresses.stop();
  await put(store, 'task', pending('t4', { Endpoint }));
  addresses.start();
  scheduler.start();
  await pass();
  t.is(address('t4'), '10.241.44.5/32');
});

test('253 tasks fill a node; ended ones lend their addresses, the longest ended first', async (t) => {
  const { store, addresses, scheduler, clock, pass } = setup();
  await put(store, 'network', ingressDraft('ing'));
  await put(
    store,
    'node',
    nodeDraft('n1', { Mesh: { Index: 1, Address: '198.18.0.7', Subnet: '10.240.1.0/24' } }),
  );
  const Endpoint = {
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }],
  } as const;
  const id = (i: number) => `t${String(i).padStart(3, '0')}`;
  const numbers = Array.from({ length: 254 }, (_, i) => id(i));
  await transactInBatches(store, numbers, (transaction, task) =>
    transaction.create('task', pending(task, { Endpoint })),
  );
  scheduler.start();
  await pass();
  const address = (task: string) => store.get('task', task)?.NetworksAttachments?.[0]?.Addresses[0];
  t.is(new Set(numbers.map(address)).size, 254, '253 addresses and one undefined');
  t.is(errOf(store, id(253)), 'no suitable node (no free ingress address on 1 node)');
  const end = (task: string, Timestamp: string) =>
    patch(store, 'task', task, (old) => ({
      ...old,
      Status: { ...old.Status, State: 'shutdown', Timestamp },
    }));
  await scheduler.stop();
  await addresses.stop();
  await end(id(7), '2026-01-01T02:00:00.000Z');
  await end(id(9), '2026-01-01T01:00:00.000Z');
  addresses.start();
  scheduler.start();
  await clock.advance(100);
  t.is(address(id(253)), address(id(9)));
});

test('a task with ports waits for a place of its node in the mesh', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  const Endpoint = {
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }],
  } as const;
  await put(store, 'task', pending('t', { Endpoint }));
  scheduler.start();
  await pass();
  t.is(
    errOf(store, 't'),
    'its ports are published, but the cluster has no ingress network: create one (swarm network create --ingress)',
  );
  await put(store, 'network', ingressDraft('ing'));
  await pass();
  t.is(errOf(store, 't'), 'no suitable node (no free ingress address on 1 node)');
  const place = (Address: string) =>
    patch(store, 'node', 'n1', (node) => ({
      ...node,
      Mesh: { Index: 1, Address, Subnet: '10.240.1.0/24' },
    }));
  await place('');
  await pass();
  t.is(nodeOf(store, 't'), undefined, 'its data path address is another node’s');
  await place('198.18.0.7');
  await pass();
  t.is(nodeOf(store, 't'), 'n1');
});

test('a task that changes while it is being placed is placed again', async (t) => {
  const { store, scheduler, clock } = setup();
  await put(store, 'node', described('n1', { Resources: { NanoCPUs: 1e9, MemoryBytes: GIB } }));
  scheduler.start();
  await clock.advance(100);
  await put(store, 'task', pending('a', reserve(1e9, 0)));
  await put(store, 'task', pending('b', { ...reserve(1e9, 0), ServiceID: 'b' }));
  store.pause();
  const stop = patch(store, 'task', 'a', (task) => ({ ...task, DesiredState: 'shutdown' }));
  // The pass builds on the old state; its entry comes after the change.
  await clock.advance(10);
  store.resume();
  await stop;
  await clock.advance(100);
  t.is(nodeOf(store, 'a'), undefined);
  t.is(nodeOf(store, 'b'), 'n1', 'what was thought to be on the node is forgotten');
});

test('a failed commit is repeated, and what it had placed does not count meanwhile', async (t) => {
  const { store, scheduler, clock } = setup();
  await put(store, 'node', described('n1', { Resources: { NanoCPUs: 1e9, MemoryBytes: GIB } }));
  await put(store, 'task', pending('a', reserve(1e9, 0)));
  store.failNext(Object.assign(new Error('no'), { code: 'RAFT_QUORUM_LOST' }));
  scheduler.start();
  await clock.advance(20);
  t.is(nodeOf(store, 'a'), undefined);
  await clock.advance(100);
  t.is(nodeOf(store, 'a'), 'n1');
});

test('450 tasks are placed in three transactions, evenly', async (t) => {
  const { store, scheduler, pass } = setup();
  for (let i = 0; i < 9; i++) await put(store, 'node', nodeDraft(`n${i}`));
  const numbers = Array.from({ length: 450 }, (_, i) => `t${i}`);
  await transactInBatches(store, numbers, (transaction, id) =>
    transaction.create('task', pending(id)),
  );
  const entries = store.entries;
  scheduler.start();
  await pass();
  t.is(store.entries, entries + 3);
  t.deepEqual(new Set(Object.values(perNode(store))), new Set([50]));
});

test('300 tasks that fit nowhere do not keep the others from being placed', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  const numbers = Array.from({ length: 300 }, (_, i) => `a${i}`);
  await transactInBatches(store, numbers, (transaction, id) =>
    transaction.create('task', pending(id, { ...reserve(64e9, 0), ServiceID: 'a' })),
  );
  await put(store, 'task', pending('z', { ServiceID: 'z' }));
  const entries = store.entries;
  scheduler.start();
  await pass();
  t.is(nodeOf(store, 'z'), 'n1');
  t.true(numbers.every((id) => errOf(store, id)?.includes('insufficient resources') === true));
  t.is(store.entries, entries + 2);
});

test('a snapshot from elsewhere is looked at afresh', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  scheduler.start();
  await pass();
  await put(store, 'task', pending('t'));
  store.reset();
  await pass();
  t.is(nodeOf(store, 't'), 'n1');
});

test('nothing is written after stop', async (t) => {
  const { store, scheduler, pass } = setup();
  await put(store, 'node', nodeDraft('n1'));
  scheduler.start();
  await pass();
  await scheduler.stop();
  await put(store, 'task', pending('t'));
  await pass();
  t.is(nodeOf(store, 't'), undefined);
});

test('tasks that are too large together for one entry of the log are placed all the same', async (t) => {
  const { store, scheduler, pass } = setup();
  const large = spec({ ContainerSpec: { Image: 'nginx', Env: [`BIG=${'x'.repeat(100_000)}`] } });
  await put(store, 'node', nodeDraft('n1'));
  for (let i = 0; i < 60; i += 1) await put(store, 'task', pending(`large${i}`, large));
  scheduler.start();
  for (let i = 0; i < 10; i += 1) await pass();
  t.deepEqual(perNode(store), { n1: 60 });
});

test('nodes that reach few others come last, and among equals those that reach all come first', async (t) => {
  const { store, scheduler, pass } = setup();
  const problem = { NodeID: 'x', Kind: 'blocked', Since: '2026-01-01T00:00:00Z' } as const;
  await put(store, 'node', described('n1', { Paths: { Problems: [problem], CutOff: true } }));
  await put(store, 'node', described('n2', { Paths: { Problems: [problem] } }));
  await put(store, 'node', described('n3', { Paths: { Problems: [] } }));
  scheduler.start();
  for (const id of ['t1', 't2', 't3', 't4', 't5']) {
    await put(store, 'task', pending(id));
    await pass();
  }
  t.deepEqual(
    ['t1', 't2', 't3', 't4', 't5'].map((id) => nodeOf(store, id)),
    ['n3', 'n2', 'n3', 'n2', 'n3'],
  );
  // It is a preference: with no other node left, tasks run all the same.
  for (const id of ['n2', 'n3'])
    await patch(store, 'node', id, (node) => ({
      ...node,
      Spec: { ...node.Spec, Availability: 'pause' },
    }));
  await put(store, 'task', pending('t6'));
  await pass();
  t.is(nodeOf(store, 't6'), 'n1');
});
