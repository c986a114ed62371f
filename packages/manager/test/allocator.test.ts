import { type Logger, type PortConfig, type Service, silentLogger } from '@swarm/api';
import test from 'ava';
import { wantedNetworks } from '../src/allocator/attachments.js';
import { AddressBook, createAllocator, publishConflict } from '../src/allocator/index.js';
import {
  clusterDraft,
  networkDraft,
  nodeDraft,
  patch,
  put,
  revisionDraft,
  serviceDraft,
  taskDraft,
} from './support/objects.js';
import { createTestStore, type TestStore } from './support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from './support/start-time.js';

const PASS_MS = 50;

function setup(logger: Logger = silentLogger) {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  let seed = 0;
  const randomBytes = (size: number) => new Uint8Array(size).fill(++seed);
  const context = { store, clock, logger, randomBytes };
  const addresses = new AddressBook(context);
  addresses.start();
  const allocator = createAllocator(context, addresses);
  return { clock, store, addresses, allocator, pass: () => clock.advance(PASS_MS) };
}

const ingress = (TargetPort: number, PublishedPort?: number, more: object = {}): PortConfig => ({
  Protocol: 'tcp',
  TargetPort,
  PublishMode: 'ingress',
  ...(PublishedPort === undefined ? {} : { PublishedPort }),
  ...more,
});
const host = (TargetPort: number, PublishedPort: number): PortConfig => ({
  ...ingress(TargetPort, PublishedPort),
  PublishMode: 'host',
});
const withPorts = (id: string, ...Ports: PortConfig[]) =>
  serviceDraft(id, {}, { Name: `${id}-name`, EndpointSpec: { Mode: 'vip', Ports } });
const setPorts = (store: TestStore, id: string, ...Ports: PortConfig[]) =>
  patch(store, 'service', id, (service) => ({
    ...service,
    Spec: { ...service.Spec, EndpointSpec: { Mode: 'vip', Ports } },
  }));
const manager = (id: string, port: number, more: object = {}) =>
  nodeDraft(id, { Role: 'manager', RaftID: port, ManagerAddr: `198.18.0.1:${port}`, ...more });
const udp = { Protocol: 'udp' } as const;
const published = (service: Service | undefined) =>
  service?.Endpoint.Ports?.map(({ PublishedPort }) => PublishedPort);

test('the first pass creates the ingress network, once', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await pass();
  const network = store.ingressNetwork();
  t.is(network?.Spec.Name, 'ingress');
  t.is(network?.VNI, 4096);
  t.deepEqual(network?.Subnets, [{ Subnet: '10.240.0.0/12', Gateway: '10.240.0.1' }]);
  await allocator.stop();
  allocator.start();
  await pass();
  t.is(store.count('network'), 1);
});

test('the first ingress network is in the pools that the cluster was given, where no host is', async (t) => {
  const first = async (pools: readonly string[], addr: string, level = 5) => {
    const { store, allocator, pass } = setup();
    const cluster = { ...clusterDraft('c'), DefaultAddrPool: pools, FeatureLevel: level };
    await put(store, 'cluster', cluster);
    await put(store, 'node', nodeDraft('a', { Status: { State: 'ready', Addr: addr } }));
    allocator.start();
    await pass();
    await allocator.stop();
    return [store.ingressNetwork()?.Subnets[0]?.Subnet, store.get('node', 'a')?.Mesh?.Subnet];
  };
  t.deepEqual(await first(['10.0.0.0/8'], '198.18.0.1'), ['10.240.0.0/12', '10.240.1.0/24']);
  t.deepEqual(await first(['10.20.0.0/16'], '198.18.0.1'), ['10.20.0.0/18', '10.20.0.128/25']);
  t.deepEqual(await first(['10.20.0.0/16'], '10.20.9.1'), ['10.20.64.0/18', '10.20.64.128/25']);
  t.deepEqual(await first(['10.20.0.0/28'], '198.18.0.1'), ['10.240.0.0/12', '10.240.1.0/24']);
  t.deepEqual(
    await first(['10.20.0.0/16'], '198.18.0.1', 4),
    ['10.240.0.0/12', '10.240.1.0/24'],
    'managers of before know no other',
  );
});

test('nodes move to their blocks of another ingress network; one without a block gets an index that has one', async (t) => {
  const { store, allocator, pass } = setup();
  for (const id of ['a', 'b', 'c']) await put(store, 'node', nodeDraft(id));
  const far = { Index: 300, Address: '198.18.9.9', Subnet: '10.241.44.0/24' };
  await put(store, 'node', nodeDraft('far', { Mesh: far }));
  allocator.start();
  await pass();
  await patch(store, 'network', store.ingressNetwork()!.ID, (network) => ({
    ...network,
    Subnets: [{ Subnet: '10.11.0.0/26', Gateway: '10.11.0.1' }],
  }));
  await pass();
  const places = () =>
    ['a', 'b', 'c', 'far'].map((id) => {
      const mesh = store.get('node', id)?.Mesh;
      return `${mesh?.Index} ${mesh?.Subnet}`;
    });
  t.deepEqual(places(), [
    '1 10.11.0.8/29',
    '2 10.11.0.16/29',
    '3 10.11.0.24/29',
    '4 10.11.0.32/29',
  ]);
  t.is(store.get('node', 'far')?.Mesh?.Address, '198.18.9.9', 'its data path stays');
  for (const id of ['e', 'f', 'g', 'h']) await put(store, 'node', nodeDraft(id));
  await pass();
  t.is(store.get('node', 'g')?.Mesh?.Index, 7);
  t.is(store.get('node', 'h')?.Mesh, undefined, 'there are seven blocks');
  await patch(store, 'network', store.ingressNetwork()!.ID, (network) => ({
    ...network,
    Subnets: [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.1' }],
  }));
  await pass();
  t.is(store.get('node', 'h')?.Mesh?.Subnet, '10.11.8.0/24');
  const { index } = store;
  await pass();
  t.is(store.index, index, 'nothing is written without end');
});

test('a foreign network named ingress is reported and nothing else stops for it', async (t) => {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_: object, message: string) => errors.push(message) };
  const { store, allocator, pass } = setup(logger);
  await put(store, 'network', networkDraft('n', { Spec: { ...networkDraft('ingress').Spec } }));
  await put(store, 'node', nodeDraft('a'));
  allocator.start();
  await pass();
  t.regex(errors[0] ?? '', /remove the network "ingress"/);
  t.is(store.get('node', 'a')?.Mesh?.Index, 1);
});

// SwarmKit: TestNodeAllocator.
test('nodes get the lowest free index and its block, and keep them', async (t) => {
  const { store, allocator, pass } = setup();
  for (const id of ['a', 'b', 'c']) await put(store, 'node', nodeDraft(id));
  allocator.start();
  await pass();
  t.deepEqual(store.get('node', 'b')?.Mesh, {
    Index: 2,
    Address: '198.18.0.1',
    Subnet: '10.240.2.0/24',
  });
  await store.transact((transaction) => transaction.remove('node', 'a'));
  await patch(store, 'node', 'b', (node) => ({
    ...node,
    Mesh: { ...node.Mesh!, Address: '198.18.9.9' },
  }));
  await put(store, 'node', nodeDraft('d'));
  await pass();
  t.is(store.get('node', 'd')?.Mesh?.Index, 1);
  t.is(store.get('node', 'b')?.Mesh?.Address, '198.18.9.9');
  await put(
    store,
    'node',
    nodeDraft('e', { Mesh: { Index: 300, Address: '', Subnet: '10.241.44.0/24' } }),
  );
  await put(store, 'node', nodeDraft('f'));
  await pass();
  t.is(store.get('node', 'f')?.Mesh?.Index, 4);
});

test('node 4096 finds no place, is reported, and gets one when a node goes', async (t) => {
  const errors: string[] = [];
  const logger = { ...silentLogger, error: (_: object, message: string) => errors.push(message) };
  const { store, allocator, pass, clock } = setup(logger);
  const { transactInBatches } = await import('../src/store/batches.js');
  const numbers = Array.from({ length: 4096 }, (_, i) => `n${String(i).padStart(4, '0')}`);
  await transactInBatches(store, numbers, (transaction, id) =>
    transaction.create('node', nodeDraft(id)),
  );
  allocator.start();
  await clock.advance(500);
  t.deepEqual(store.get('node', 'n4094')?.Mesh?.Subnet, '10.255.255.0/24');
  t.is(store.get('node', 'n4095')?.Mesh, undefined);
  t.regex(errors[0] ?? '', /no place for another node: remove nodes that are down/);
  await store.transact((transaction) => transaction.remove('node', 'n0006'));
  await pass();
  t.is(store.get('node', 'n4095')?.Mesh?.Index, 7);
});

test('a task of an earlier revision publishes what that asks for, whatever the service waits for', async (t) => {
  const { store, allocator, pass } = setup();
  await put(store, 'service', withPorts('other', ingress(80, 9000)));
  await put(store, 'service', {
    ...withPorts('web', ingress(80, 8080), ingress(90), ingress(99)),
    SpecVersion: { Index: 1 },
  });
  allocator.start();
  await pass();
  const [, chosen] = published(store.get('service', 'web')) ?? [];
  // The next revision moves a port, drops another, and takes one that it cannot have.
  const before = store.get('service', 'web')!;
  await put(store, 'revision', revisionDraft('web-1', { ServiceID: 'web', Spec: before.Spec }));
  await patch(store, 'service', 'web', (service) => ({ ...service, SpecVersion: { Index: 7 } }));
  await setPorts(store, 'web', ingress(8000, 8080), ingress(90));
  await pass();
  await setPorts(store, 'web', ingress(8000, 8080), ingress(90), ingress(1, 9000));
  await pass();
  t.truthy(store.get('service', 'web')?.AllocationError);
  await put(store, 'task', taskDraft('old', { ServiceID: 'web', SpecVersion: { Index: 1 } }));
  await put(store, 'task', taskDraft('new', { ServiceID: 'web', SpecVersion: { Index: 7 } }));
  await pass();
  const old = store.get('task', 'old');
  t.is(old?.Status.State, 'pending');
  t.deepEqual(old?.Endpoint.Ports, [ingress(80, 8080), ingress(90, chosen)]);
  t.is(store.get('task', 'new')?.Status.State, 'new');
});

// SwarmKit: TestAllocateServicePorts, TestServicePortAllocationIsRepeatable.
test('dynamic ports are the lowest free ones, apart for each protocol', async (t) => {
  const { store, allocator, pass } = setup();
  await put(store, 'service', withPorts('a', ingress(80), ingress(81)));
  await put(
    store,
    'service',
    withPorts('b', ingress(80), ingress(53, undefined, { Protocol: 'udp' })),
  );
  await put(store, 'service', withPorts('c', ingress(80, 30_001)));
  allocator.start();
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [30_000, 30_002]);
  t.deepEqual(published(store.get('service', 'b')), [30_003, 30_000]);
  t.deepEqual(published(store.get('service', 'c')), [30_001]);
  t.deepEqual(store.get('service', 'a')?.Endpoint.Spec.Ports, [ingress(80), ingress(81)]);
});

// SwarmKit: TestServiceAddRemovePorts, TestServiceUpdatePort, TestReconcilePortConfigs.
test('dynamic ports stay through updates, and ports dropped are free for others', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', ingress(80), ingress(81)));
  await pass();
  await setPorts(store, 'a', ingress(82), ingress(81));
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [30_000, 30_001]);
  await setPorts(store, 'a', ingress(82));
  await put(store, 'service', withPorts('b', ingress(80)));
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [30_000]);
  t.deepEqual(published(store.get('service', 'b')), [30_001]);
  await store.transact((transaction) => transaction.remove('service', 'a'));
  await setPorts(store, 'b', ingress(80), ingress(90));
  await pass();
  t.deepEqual(published(store.get('service', 'b')), [30_001, 30_000]);
  await setPorts(store, 'b');
  await pass();
  t.deepEqual(store.get('service', 'b')?.Endpoint, { Spec: { Mode: 'vip', Ports: [] } });
});

// SwarmKit: TestAllocateServiceConflictingUserDefinedPorts, TestDeallocateServiceAllocate.
test('a taken port is reported on the service and its task, and given once it is free', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', ingress(80, 8080)));
  await pass();
  await put(store, 'service', withPorts('b', ingress(80, 8080), ingress(81)));
  await put(store, 'task', taskDraft('t', { ServiceID: 'b' }));
  await pass();
  const sentence =
    "port '8080' (tcp) is already in use by service 'a-name' (a) as an ingress port: publish another port, or remove it there";
  t.is(store.get('service', 'b')?.AllocationError, sentence);
  t.is(published(store.get('service', 'b')), undefined);
  const waiting = store.get('task', 't')?.Status;
  t.is(waiting?.State, 'new');
  t.is(waiting?.Message, 'waiting for the published ports of its service');
  t.is(waiting?.Err, sentence);
  const entries = store.entries;
  await pass();
  t.is(store.entries, entries, 'nothing is written while nothing changes');
  await store.transact((transaction) => transaction.remove('service', 'a'));
  await pass();
  t.false('AllocationError' in store.get('service', 'b')!);
  t.deepEqual(published(store.get('service', 'b')), [8080, 30_000]);
  const task = store.get('task', 't');
  t.deepEqual(
    { ...task?.Status, Timestamp: '' },
    { State: 'pending', Message: 'pending task scheduling', Timestamp: '' },
  );
  t.deepEqual(published({ Endpoint: task!.Endpoint } as Service), [8080, 30_000]);
});

test('a service keeps its ports while the ones it asks for now are taken', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', ingress(80, 8080)));
  await put(store, 'service', withPorts('b', ingress(80, 9090)));
  await pass();
  await setPorts(store, 'b', ingress(80, 8080));
  await pass();
  t.deepEqual(published(store.get('service', 'b')), [9090]);
  t.regex(store.get('service', 'b')?.AllocationError ?? '', /'8080'/);
  await setPorts(store, 'b', ingress(80, 9090));
  await pass();
  t.is(store.get('service', 'b')?.AllocationError, undefined);
});

// SwarmKit: TestUpdatePortsInHostPublishMode, TestHostPublishPortsNeedUpdate.
test('host-mode ports pass to tasks, can be shared by services, and exclude ingress ones', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', host(80, 8080)));
  await put(store, 'service', withPorts('b', host(80, 8080)));
  await put(store, 'service', withPorts('c', ingress(80, 8080)));
  await put(store, 'service', withPorts('d', { ...host(80, 1), PublishedPort: 0 }));
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [8080]);
  t.deepEqual(published(store.get('service', 'b')), [8080]);
  t.regex(store.get('service', 'c')?.AllocationError ?? '', /as a host-published port/);
  t.deepEqual(published(store.get('service', 'd')), [undefined]);
  await setPorts(store, 'a', host(80, 8081));
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [8081]);
});

test('when all dynamic ports are gone the service says so', async (t) => {
  const { store, allocator, clock } = setup();
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ingress(from + i));
  await put(store, 'service', withPorts('a', ...many(1, 1000)));
  await put(store, 'service', withPorts('b', ...many(1, 1000)));
  await put(store, 'service', withPorts('c', ...many(1, 768)));
  await put(store, 'service', withPorts('d', ingress(80)));
  allocator.start();
  await clock.advance(200);
  t.is(published(store.get('service', 'c'))?.at(-1), 32_767);
  t.is(
    store.get('service', 'd')?.AllocationError,
    'no tcp port between 30000 and 32767 is free for target port 80: remove a service or give a published port outside this range',
  );
});

test('services that wait for any port get one each as ports are given back, and none is left out', async (t) => {
  const { store, allocator, clock, pass } = setup();
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ingress(from + i));
  for (const [id, count] of [
    ['a', 1000],
    ['b', 1000],
    ['c', 768],
  ] as const)
    await put(store, 'service', withPorts(id, ...many(1, count)));
  const waiting = ['d', 'e', 'f'];
  for (const id of waiting) await put(store, 'service', withPorts(id, ingress(80)));
  allocator.start();
  await clock.advance(200);
  const ports = () => waiting.map((id) => published(store.get('service', id))?.[0]);
  t.deepEqual(ports(), [undefined, undefined, undefined]);
  await setPorts(store, 'c', ...many(1, 766));
  await pass();
  t.deepEqual(ports(), [32_766, 32_767, undefined]);
  // The one that is woken next may be gone.
  await store.transact((transaction) => transaction.remove('service', 'f'));
  await put(store, 'service', withPorts('g', ingress(80)));
  await pass();
  t.truthy(store.get('service', 'g')?.AllocationError);
  await store.transact((transaction) => transaction.remove('service', 'd'));
  await pass();
  t.deepEqual(published(store.get('service', 'g')), [32_766]);
});

test('a service that waits for another port besides does not hold up those that wait for any', async (t) => {
  const { store, allocator, clock, pass } = setup();
  const many = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ingress(from + i));
  await put(store, 'service', withPorts('a', ...many(1, 1000)));
  await put(store, 'service', withPorts('b', ...many(1, 1000)));
  await put(store, 'service', withPorts('c', ...many(1, 767), ingress(1000, 80)));
  await put(store, 'service', withPorts('d', ingress(1)));
  allocator.start();
  await clock.advance(200);
  await put(store, 'service', withPorts('e', ingress(80, 80), ingress(81)));
  await put(store, 'service', withPorts('f', ingress(80)));
  await pass();
  t.regex(store.get('service', 'e')?.AllocationError ?? '', /'80'/);
  t.truthy(store.get('service', 'f')?.AllocationError);
  await store.transact((transaction) => transaction.remove('service', 'd'));
  await pass();
  t.deepEqual(published(store.get('service', 'f')), [32_767]);
});

test('a port that is kept in another mode is given back to those that it kept out', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', ingress(80, 8080)));
  await pass();
  await put(store, 'service', withPorts('b', host(80, 8080)));
  await pass();
  t.truthy(store.get('service', 'b')?.AllocationError);
  await setPorts(store, 'a', host(80, 8080));
  await pass();
  t.deepEqual(published(store.get('service', 'b')), [8080]);
  t.is(store.get('service', 'b')?.AllocationError, undefined);
});

// SwarmKit: TestAllocatorRestartNoEndpointSpec.
test('tasks of services without ports and tasks without service go straight to PENDING', async (t) => {
  const { store, allocator, pass } = setup();
  await put(store, 'service', serviceDraft('plain'));
  await put(store, 'task', taskDraft('t1', { ServiceID: 'plain' }));
  await put(store, 'task', taskDraft('t2', { ServiceID: '' }));
  await put(store, 'task', taskDraft('t3', { ServiceID: 'plain', DesiredState: 'remove' }));
  await put(store, 'task', taskDraft('t4', { ServiceID: 'gone' }));
  allocator.start();
  await pass();
  const states = ['t1', 't2', 't3', 't4'].map((id) => store.get('task', id)?.Status.State);
  t.deepEqual(states, ['pending', 'pending', 'new', 'new']);
  t.is(store.get('task', 't4')?.Status.Err, 'its service gone does not exist');
});

test('a new leader finishes what the old one left and changes nothing else', async (t) => {
  const { store, addresses, allocator, pass, clock } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', ingress(80)));
  await put(store, 'node', nodeDraft('n'));
  await pass();
  await allocator.stop();
  await put(store, 'service', withPorts('0', ingress(80)));
  const entries = store.entries;
  const context = { store, clock, logger: silentLogger, randomBytes: () => new Uint8Array(16) };
  const next = createAllocator(context, addresses);
  next.start();
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [30_000]);
  t.deepEqual(published(store.get('service', '0')), [30_001]);
  t.is(store.entries, entries + 1);
});

test('nothing is written after stop, and a second start carries on', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await pass();
  await allocator.stop();
  await put(store, 'service', withPorts('a', ingress(80)));
  await pass();
  t.is(published(store.get('service', 'a')), undefined);
  allocator.start();
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [30_000]);
});

test('a failed transaction is repeated after a pause', async (t) => {
  const { store, allocator, clock } = setup();
  allocator.start();
  await clock.advance(50);
  await put(store, 'service', withPorts('a', ingress(80)));
  store.failNext(Object.assign(new Error('no'), { code: 'RAFT_QUORUM_LOST' }));
  await clock.advance(5);
  t.is(published(store.get('service', 'a')), undefined);
  await clock.advance(60);
  t.deepEqual(published(store.get('service', 'a')), [30_000]);
});

test('publishConflict tells the API who holds a port, in Docker’s words', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'service', withPorts('a', ingress(80, 80), ingress(81)));
  await put(store, 'service', withPorts('b', host(22, 2222)));
  await pass();
  const ask = (id: string | undefined, ...Ports: PortConfig[]) =>
    publishConflict(store, id, { Ports });
  t.is(
    ask(undefined, ingress(1, 80)),
    "port '80' is already in use by service 'a-name' (a) as an ingress port",
  );
  t.regex(ask(undefined, host(1, 80)) ?? '', /as an ingress port$/);
  t.regex(ask(undefined, ingress(1, 30_000)) ?? '', /'30000' .* 'a-name'/);
  t.regex(ask(undefined, ingress(1, 2222)) ?? '', /'b-name' \(b\) as a host-published port$/);
  t.is(ask(undefined, host(1, 2222)), undefined);
  t.is(ask(undefined, ingress(1, 80, { Protocol: 'udp' })), undefined);
  t.is(ask('a', ingress(1, 80)), undefined);
  t.is(ask(undefined, ingress(1)), undefined);
  t.is(publishConflict(store, undefined, undefined), undefined);
});

test('a task in a network of its host has no address, and needs no ingress network', async (t) => {
  const { store, allocator, pass } = setup();
  const inHost = (id: string, Target: string) => {
    const draft = taskDraft(id);
    return put(store, 'task', { ...draft, Spec: { ...draft.Spec, Networks: [{ Target }] } });
  };
  await put(store, 'service', serviceDraft('service'));
  await put(store, 'node', nodeDraft('n'));
  await inHost('a', 'host');
  await inHost('b', 'none');
  await inHost('c', 'front');
  allocator.start();
  await pass();
  for (const id of ['a', 'b']) {
    const task = store.get('task', id)!;
    t.is(task.Status.State, 'pending', id);
    t.is(task.NetworksAttachments, undefined);
    t.deepEqual(wantedNetworks(store, task), { networks: [] });
  }
  t.like(wantedNetworks(store, store.get('task', 'c')!), {
    missing: 'its network front does not exist: create it, or remove it from the service',
  });
});

test('a service does not get what managers listen on, or the data path port, in either mode', async (t) => {
  const { store, allocator, pass } = setup();
  await put(store, 'cluster', { ...clusterDraft('c'), DataPathPort: 5789 });
  await put(
    store,
    'node',
    manager('m1', 2400, { Spec: { ...nodeDraft('m1').Spec, Name: 'm-one' } }),
  );
  const wanted: Record<string, PortConfig> = {
    a: ingress(80, 2400),
    b: host(80, 2400),
    c: ingress(80, 2377),
    d: ingress(80, 5789, udp),
    e: { ...host(2377, 0), PublishedPort: 0 },
    f: ingress(80, 2400, udp),
    g: ingress(80, 5789),
    h: ingress(80, 4789, udp),
  };
  for (const [id, port] of Object.entries(wanted)) await put(store, 'service', withPorts(id, port));
  allocator.start();
  await pass();
  const error = (id: string) => store.get('service', id)?.AllocationError;
  t.is(
    error('a'),
    "port '2400' (tcp) belongs to the cluster: manager m-one listens on it for other nodes; publish another port",
  );
  t.regex(error('b') ?? '', /'2400' \(tcp\) belongs to the cluster/);
  t.regex(error('c') ?? '', /nodes that become managers listen on it/);
  t.regex(error('d') ?? '', /it is the data path port/);
  // Of 'e', each node chooses the port itself.
  for (const id of ['e', 'f', 'g', 'h']) t.is(error(id), undefined, id);
  const entries = store.entries;
  await pass();
  t.is(store.entries, entries, 'nothing is written while nothing changes');
});

test('a chosen port is never one that a manager listens on', async (t) => {
  const { store, allocator, pass } = setup();
  await put(store, 'node', manager('m1', 30_000));
  await put(store, 'service', withPorts('a', ingress(80), ingress(53, undefined, udp)));
  allocator.start();
  await pass();
  t.deepEqual(published(store.get('service', 'a')), [30_001, 30_000]);
  // Once the manager is gone its port is the lowest free one.
  await store.transact((transaction) => transaction.remove('node', 'm1'));
  await put(store, 'service', withPorts('b', ingress(80)));
  await pass();
  t.deepEqual(published(store.get('service', 'b')), [30_000]);
});

test('a service yields its port to a manager that moves there, and gets it back', async (t) => {
  const { store, allocator, pass } = setup();
  allocator.start();
  await put(store, 'node', manager('m1', 2377));
  await put(store, 'service', withPorts('fixed', ingress(80, 2400)));
  await put(store, 'service', withPorts('chosen', ingress(80)));
  await pass();
  t.deepEqual(published(store.get('service', 'chosen')), [30_000]);
  const move = (port: number) =>
    patch(store, 'node', 'm1', (node) => ({ ...node, ManagerAddr: `198.18.0.1:${port}` }));
  await move(30_000);
  await pass();
  t.deepEqual(published(store.get('service', 'chosen')), [30_001]);
  await move(2400);
  await put(store, 'task', taskDraft('t', { ServiceID: 'fixed' }));
  await pass();
  t.regex(store.get('service', 'fixed')?.AllocationError ?? '', /manager m1 listens on it/);
  t.regex(store.get('task', 't')?.Status.Err ?? '', /manager m1 listens on it/);
  // Where it listens may differ from where it is reached.
  await patch(store, 'node', 'm1', (node) => ({
    ...node,
    ManagerAddr: '198.18.0.1:2377',
    Description: { ...node.Description!, ListenPort: 2400 },
  }));
  await pass();
  t.truthy(store.get('service', 'fixed')?.AllocationError);
  await patch(store, 'node', 'm1', (node) => ({
    ...node,
    Description: { ...node.Description!, ListenPort: 2377 },
  }));
  await pass();
  t.is(store.get('service', 'fixed')?.AllocationError, undefined);
  t.is(store.get('task', 't')?.Status.State, 'pending');
});

test('tasks that are too large together for one entry of the log are allocated all the same', async (t) => {
  const { store, allocator, pass } = setup();
  const Env = [`BIG=${'x'.repeat(100_000)}`];
  const Spec = { ContainerSpec: { Image: 'nginx', Env }, ForceUpdate: 0 };
  for (let i = 0; i < 60; i += 1)
    await put(store, 'task', taskDraft(`t${i}`, { ServiceID: '', Spec }));
  allocator.start();
  for (let i = 0; i < 10; i += 1) await pass();
  t.deepEqual([...new Set([...store.list('task')].map((task) => task.Status.State))], ['pending']);
});
