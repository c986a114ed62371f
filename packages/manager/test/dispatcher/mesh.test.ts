import { type MeshDelta, type Node, portKey, silentLogger, type Task } from '@swarm/api';
import test from 'ava';
import { meshDelta, meshState } from '../../src/dispatcher/index.js';
import { MeshPublisher } from '../../src/dispatcher/mesh-publisher.js';
import { SetAside } from '../../src/set-aside.js';
import type { Draft, Store } from '../../src/store/store.js';
import {
  clusterDraft,
  ingressDraft,
  nodeDraft,
  patch,
  patchStored,
  put,
  serviceDraft,
} from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from '../support/start-time.js';
import { PORT, servingTask } from './harness.js';

const MESH = { Index: 1, Address: '198.18.0.7', Subnet: '10.240.1.0/24' };
const Endpoint = { Spec: {}, Ports: [PORT] };

async function serving() {
  const store = createTestStore();
  await put(store, 'network', ingressDraft());
  await put(store, 'node', nodeDraft('n1', { Mesh: MESH }));
  await put(store, 'service', serviceDraft('service', { Endpoint }));
  await put(store, 'task', servingTask('task', 'n1'));
  return store;
}

/** A started publisher that is told of every change of the store. */
function following(store: Store, clock = new VirtualClock(START_MS)): MeshPublisher {
  const publisher = new MeshPublisher(store, clock, new SetAside(silentLogger), () => {});
  publisher.start();
  store.watch(({ events, index }) => {
    for (const event of events) publisher.note(event, index);
  });
  return publisher;
}

test('the mesh names every ingress port, and the running tasks behind it with their own port', async (t) => {
  const store = await serving();
  const Ports = [
    { ...PORT, PublishedPort: 9090 },
    { ...PORT, PublishedPort: 7070, PublishMode: 'host' as const },
  ];
  await put(store, 'service', serviceDraft('idle', { Endpoint: { Spec: {}, Ports } }));
  const own = { Ports: [{ ...PORT, TargetPort: 81 }] };
  await put(store, 'task', servingTask('z', 'n1', 'running', { Endpoint: own }));
  t.deepEqual(meshState(store, 7), {
    generation: 7,
    peers: [{ nodeId: 'n1', index: 1, address: '198.18.0.7', subnet: '10.240.1.0/24' }],
    ports: [
      { protocol: 'tcp', publishedPort: 9090, serviceId: 'idle', endpoints: [] },
      {
        protocol: 'tcp',
        publishedPort: 8080,
        serviceId: 'service',
        endpoints: [
          { taskId: 'task', nodeId: 'n1', address: '10.240.1.5', port: 80 },
          { taskId: 'z', nodeId: 'n1', address: '10.240.1.5', port: 81 },
        ],
      },
    ],
  });
});

test('a task that is not wanted, not running, not ready or on a node that is down gets no traffic', async (t) => {
  const changes: [(task: Task) => Task, (node: Node) => Node][] = [
    [(task) => ({ ...task, DesiredState: 'shutdown' }), (node) => node],
    [(task) => ({ ...task, Status: { ...task.Status, State: 'failed' } }), (node) => node],
    [(task) => ({ ...task, Status: { ...task.Status, Ready: false } }), (node) => node],
    [(task) => ({ ...task, Endpoint: { Ports: [] } }), (node) => node],
    [(task) => ({ ...task, NetworksAttachments: [] }), (node) => node],
    [(task) => task, (node) => ({ ...node, Status: { State: 'down', Addr: '' } })],
  ];
  for (const [changeTask, changeNode] of changes) {
    const store = await serving();
    t.is(meshState(store, 1).ports[0]?.endpoints.length, 1);
    await patch(store, 'task', 'task', changeTask);
    await patch(store, 'node', 'n1', changeNode);
    t.deepEqual(meshState(store, 1).ports[0]?.endpoints, []);
  }
});

test('a task that listens over IPv6 is an endpoint for it, and nodes tell where they send from', async (t) => {
  const store = await serving();
  const publisher = following(store);
  const endpoint = () => publisher.state.ports[0]?.endpoints[0];
  t.is(endpoint()?.ipv6, undefined);
  await patch(store, 'task', 'task', (task) => ({
    ...task,
    Status: { ...task.Status, Ipv6: true },
  }));
  publisher.flush();
  t.is(endpoint()?.ipv6, true);
  t.is(endpoint()?.address, '10.240.1.5', 'every node derives the other address');
  const describe = (addresses: readonly string[]) =>
    patch(store, 'node', 'n1', (node) => ({
      ...node,
      Description: { ...node.Description!, Ipv6Addresses: addresses },
    }));
  await describe(['2001:2::7']);
  publisher.flush();
  t.deepEqual(publisher.state.peers[0]?.ipv6Addresses, ['2001:2::7']);
  await describe([]);
  publisher.flush();
  t.is(publisher.state.peers[0]?.ipv6Addresses, undefined);
});

test('options of a service come to nodes, with weights only while revisions differ', async (t) => {
  const store = await serving();
  const publisher = following(store);
  const [port] = publisher.state.ports;
  t.deepEqual(Object.keys(port!), ['protocol', 'publishedPort', 'serviceId', 'endpoints']);
  await put(store, 'task', servingTask('z', 'n1'));
  await patch(store, 'service', 'service', (service) => ({
    ...service,
    SpecVersion: { Index: 77 },
    Spec: {
      ...service.Spec,
      TaskTemplate: { ...service.Spec.TaskTemplate, ForceUpdate: 9 },
      EndpointSpec: { Affinity: 'client', TrafficPolicy: 'local', RevisionWeight: 25 },
    },
    Endpoint: {
      Spec: {},
      Ports: [
        {
          ...PORT,
          ProxyProtocol: 'v1',
          HostIP: '198.18.0.9',
          ClientLimits: { Connections: 5, Rate: 9, Per: 'hour' },
        },
      ],
    },
  }));
  publisher.flush();
  t.like(publisher.state.ports[0], {
    ...{ affinity: 'client', policy: 'local', hostIp: '198.18.0.9' },
    limits: { connections: 5, rate: 9, per: 'hour' },
    proxyProtocol: 'v1',
  });
  const weights = () => publisher.state.ports[0]?.endpoints.map(({ weight }) => weight);
  t.deepEqual(weights(), [undefined, undefined], 'both are of the earlier revision');
  await patch(store, 'task', 'z', (task) => ({ ...task, SpecVersion: { Index: 77 } }));
  publisher.flush();
  t.deepEqual(weights(), [100, 25]);
  await patch(store, 'task', 'task', (task) => ({ ...task, SpecVersion: { Index: 77 } }));
  publisher.flush();
  t.deepEqual(weights(), [undefined, undefined], 'both are of the current one');
});

test('a node that is down stays a peer, marked as such, from the generation that says so', async (t) => {
  const store = await serving();
  const publisher = following(store);
  const peer = publisher.state.peers.find(({ nodeId }) => nodeId === 'n1');
  t.is(peer?.down, undefined);
  await patch(store, 'node', 'n1', (node) => ({ ...node, Status: { State: 'down', Addr: '' } }));
  publisher.flush();
  t.deepEqual(
    publisher.state.peers.find(({ nodeId }) => nodeId === 'n1'),
    { ...peer!, down: true },
  );
});

const SHARED = { ...MESH, Address: '198.18.0.7' };
const USERSPACE = { ...nodeDraft('n1').Description!, MeshBackend: 'userspace' };
const reported = (TargetPort: number, Address = '127.0.0.1') => ({
  Address,
  PortStatus: { Ports: [{ ...PORT, TargetPort }] },
});

/** A node of the userspace backend, and what a status of its task leads to. */
async function endpointOf(status: object, node: Partial<Node> = {}) {
  const store = await serving();
  await patch(store, 'node', 'n1', (old) => ({
    ...old,
    Mesh: SHARED,
    Description: USERSPACE,
    ...node,
  }));
  await patchStored(store, 'task', 'task', (task) => ({
    ...task,
    Status: { ...task.Status, ...status },
  }));
  return meshState(store, 1).ports[0]?.endpoints[0];
}

test('a task without kernel networking is reached at its node’s address and the port that it reports', async (t) => {
  t.like(await endpointOf(reported(20_001)), { address: '198.18.0.7', port: 20_001 });
  t.like(await endpointOf(reported(29_999)), { address: '198.18.0.7', port: 29_999 });
});

test('a node that lies about its backend leads traffic for its tasks to itself, to no port of the system', async (t) => {
  const where = ['169.254.169.254', '198.18.0.1', '127.0.0.1', '10.240.2.5', 'a\nb'];
  for (const address of where) {
    t.like(await endpointOf(reported(20_001, address)), { address: '198.18.0.7', port: 20_001 });
  }
  for (const port of [22, 80, 2377, 4789, 19_999, 30_000, 65_535, 0, -1, 20_000.5]) {
    t.is(await endpointOf(reported(port)), undefined, `port ${port}`);
  }
  t.is(await endpointOf({ PortStatus: { Ports: {} } }), undefined);
  t.is(await endpointOf({ PortStatus: { Ports: [null, 7, 'x'] } }), undefined);
  t.is(await endpointOf({}), undefined, 'a port that it did not report');
});

test('on a node with kernel networking a status moves nothing', async (t) => {
  const store = await serving();
  for (const address of ['169.254.169.254', '198.18.0.7', '10.240.1.9', '']) {
    const status = reported(22, address);
    await patchStored(store, 'task', 'task', (task) => ({
      ...task,
      Status: { ...task.Status, ...status },
    }));
    t.like(meshState(store, 1).ports[0]?.endpoints[0], { address: '10.240.1.5', port: 80 });
  }
});

test('an attachment outside its node’s block is no endpoint', async (t) => {
  for (const address of [
    '10.240.2.5/32',
    '10.240.1.1/32',
    '10.240.1.255/32',
    '10.240.10.5/32',
    '169.254.169.254/32',
    '10.240.1.5\n/32',
    '',
  ]) {
    const store = await serving();
    await patchStored(store, 'task', 'task', (task) => ({
      ...task,
      NetworksAttachments: [
        { Network: { ID: 'ingress', Spec: { Name: 'ingress' } }, Addresses: [address] },
      ],
    }));
    t.deepEqual(meshState(store, 1).ports[0]?.endpoints, [], address);
  }
});

test('an endpoint is at the address of the network that its port is published on, by id', async (t) => {
  const store = await serving();
  const attached = (ID: string, Name: string, ...Addresses: string[]) => ({
    Network: { ID, Spec: { Name } },
    Addresses,
  });
  const addressOf = async (...NetworksAttachments: object[]) => {
    await patchStored(store, 'task', 'task', (task) => ({ ...task, NetworksAttachments }));
    return meshState(store, 1).ports[0]?.endpoints[0]?.address;
  };
  const other = attached('back', 'ingress', '10.240.1.7/32');
  t.is(await addressOf(other), undefined, 'a name makes no ingress network');
  t.is(await addressOf(other, attached('ingress', 'x', '10.240.1.8/32')), '10.240.1.8');
  t.is(await addressOf(attached('ingress', 'x', 'fd00::8/128', '10.240.1.8/32')), '10.240.1.8');
});

test('the mesh follows the ingress network to another subnet', async (t) => {
  const store = await serving();
  const publisher = following(store);
  t.is(publisher.state.ports[0]?.endpoints.length, 1);
  await patch(store, 'network', 'ingress', (network) => ({
    ...network,
    Subnets: [{ Subnet: '10.16.0.0/12', Gateway: '10.16.0.1' }],
  }));
  const before = publisher.generation;
  publisher.flush();
  t.deepEqual(publisher.state.ingress, { subnet: '10.16.0.0/12' });
  t.deepEqual(
    publisher.state.peers.map(({ subnet }) => subnet),
    ['10.16.1.0/24'],
    'the block follows from the index, whatever is stored',
  );
  t.deepEqual(publisher.state.ports[0]?.endpoints, [], 'its address is of the other network');
  t.deepEqual(publisher.deltaFrom(before).ingress, { subnet: '10.16.0.0/12' });
  t.deepEqual(publisher.state, meshState(store, publisher.generation));
});

test('an MTU of the ingress network alone makes a generation, and comes with every one after', async (t) => {
  const store = await serving();
  const publisher = following(store);
  t.is(publisher.state.ingress, undefined, 'managers of before named none');
  const before = publisher.generation;
  const options = (DriverOpts: Record<string, string>) =>
    patch(store, 'network', 'ingress', (network) => ({
      ...network,
      Spec: { ...network.Spec, DriverOpts },
    }));
  await options({ 'com.docker.network.driver.mtu': '1200' });
  publisher.flush();
  t.true(publisher.generation > before);
  const ingress = { subnet: '10.240.0.0/12', mtuBytes: 1200 };
  t.deepEqual(publisher.deltaFrom(before), {
    ...{ base: before, generation: publisher.generation, ingress },
    ...{ peers: [], removedPeers: [], ports: [], removedPorts: [] },
  });
  await patch(store, 'task', 'task', (task) => ({ ...task, DesiredState: 'shutdown' }));
  const second = publisher.generation;
  publisher.flush();
  t.deepEqual(publisher.deltaFrom(second).ingress, ingress);
  await options({});
  publisher.flush();
  t.is(publisher.deltaFrom(second).ingress, undefined);
});

test('between two ingress networks, nodes keep their blocks of the first', async (t) => {
  const store = await serving();
  await patch(store, 'network', 'ingress', (network) => ({
    ...network,
    Subnets: [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.1' }],
  }));
  await put(store, 'cluster', { ...clusterDraft('c'), IngressSubnet: '10.11.0.0/16' });
  await store.transact((transaction) => transaction.remove('network', 'ingress'));
  const { ingress, peers } = meshState(store, 1);
  t.deepEqual(ingress, { subnet: '10.11.0.0/16' });
  t.deepEqual(peers[0]?.subnet, '10.11.1.0/24');
});

test('a node whose stored place is invalid is not a peer, nor are its tasks endpoints', async (t) => {
  const places = [
    { Address: '' },
    { Address: '198.18.0.9\nlink del eth0' },
    { Address: '0.0.0.0' },
    { Address: '169.254.1.1' },
    { Address: 'host' },
    { Index: 0 },
    { Index: 4096 },
    { Index: 1.5 },
  ];
  for (const place of places) {
    const store = await serving();
    await put(
      store,
      'node',
      nodeDraft('n2', { Mesh: { Index: 2, Address: '198.18.0.8', Subnet: '10.240.2.0/24' } }),
    );
    await patchStored(store, 'node', 'n1', (node) => ({ ...node, Mesh: { ...MESH, ...place } }));
    const state = meshState(store, 1);
    const text = JSON.stringify(place);
    t.deepEqual(
      state.peers.map(({ nodeId }) => nodeId),
      ['n2'],
      text,
    );
    t.deepEqual(state.ports[0]?.endpoints, [], text);
  }
});

test('of two nodes at one address the living one is the peer; without a tunnel both are', async (t) => {
  const store = createTestStore();
  const second = { Index: 2, Address: MESH.Address, Subnet: '10.240.2.0/24' };
  await put(
    store,
    'node',
    nodeDraft('a', { Mesh: MESH, Status: { State: 'down', Addr: '198.18.0.7' } }),
  );
  await put(store, 'node', nodeDraft('b', { Mesh: second }));
  const peers = () => meshState(store, 1).peers.map(({ nodeId }) => nodeId);
  t.deepEqual(peers(), ['b']);
  await patch(store, 'node', 'b', (node) => ({ ...node, Description: USERSPACE }));
  t.deepEqual(peers(), ['a', 'b']);
});

test('endpoints move with the address and the backend of their node', async (t) => {
  const store = await serving();
  const publisher = following(store);
  const status = reported(20_001);
  await patch(store, 'task', 'task', (task) => ({
    ...task,
    Status: { ...task.Status, ...status },
  }));
  const endpoint = () => {
    publisher.flush();
    const { ports } = publisher.state;
    t.deepEqual(ports, meshState(store, 1).ports);
    return ports[0]?.endpoints[0];
  };
  t.like(endpoint(), { address: '10.240.1.5', port: 80 });
  await patch(store, 'node', 'n1', (node) => ({ ...node, Description: USERSPACE }));
  t.like(endpoint(), { address: '198.18.0.7', port: 20_001 });
  const moved = { ...MESH, Address: '198.18.0.9' };
  await patch(store, 'node', 'n1', (node) => ({ ...node, Mesh: moved }));
  t.like(endpoint(), { address: '198.18.0.9', port: 20_001 });
});

const NET = 'net';

function overlayDraft(id: string): Draft<'network'> {
  const ingress = ingressDraft();
  return {
    ...ingress,
    ID: id,
    Spec: { ...ingress.Spec, Name: id, Ingress: false },
    Subnets: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }],
    VNI: 4097,
  };
}

/** A service on the overlay network, with a virtual address there. */
function overlayService(id: string, patch: Partial<Draft<'service'>> = {}): Draft<'service'> {
  const service = serviceDraft(id, patch);
  const Networks = [{ Target: NET, Aliases: [`${id}-alias`] }];
  const TaskTemplate = { ...service.Spec.TaskTemplate, Networks };
  const VirtualIPs = [{ NetworkID: NET, Addr: `10.0.1.${10 + Number(id.slice(1))}/24` }];
  return {
    ...service,
    Spec: { ...service.Spec, TaskTemplate },
    Endpoint: { ...service.Endpoint, VirtualIPs },
  };
}

function onOverlay(task: Draft<'task'>): Draft<'task'> {
  const overlay = {
    Network: { ID: NET, Spec: { Name: NET } },
    Addresses: [`10.0.1.${100 + Number(task.ID.slice(1))}/32`],
  };
  return { ...task, NetworksAttachments: [...(task.NetworksAttachments ?? []), overlay] };
}

test('services and tasks of overlay networks are named with their addresses', async (t) => {
  const store = createTestStore();
  await put(store, 'network', ingressDraft());
  await put(store, 'network', overlayDraft(NET));
  await put(store, 'node', nodeDraft('n1', { Mesh: MESH }));
  await put(store, 'service', overlayService('s1', { Endpoint }));
  await put(store, 'task', onOverlay(servingTask('t1', 'n1', 'running', { ServiceID: 's1' })));
  const member = {
    taskId: 't1',
    nodeId: 'n1',
    serviceId: 's1',
    names: ['service.1.t1', 't1'],
    networks: [{ networkId: NET, addresses: ['10.0.1.101'] }],
    serves: true,
  };
  const networks = [{ networkId: NET, vips: ['10.0.1.11'], aliases: ['s1-alias'] }];
  const service = { serviceId: 's1', name: serviceDraft('s1').Spec.Name, networks };
  const { services, members } = meshState(store, 1);
  t.deepEqual(services, [service]);
  t.deepEqual(members, [member]);

  const change = async (patch: (task: Task) => Task) => {
    await patchStored(store, 'task', 't1', patch);
    return meshState(store, 1).members?.[0];
  };
  t.deepEqual(
    await change((task) => ({ ...task, DesiredState: 'shutdown' })),
    { ...member, serves: false },
    'a task that stops keeps its place, and takes nothing new',
  );
  const ended = await change((task) => ({ ...task, Status: { ...task.Status, State: 'failed' } }));
  t.is(ended, undefined, 'one that has ended is gone');

  const weight = () => following(store).state.members?.[0]?.weight;
  const publisher = following(store);
  await patchStored(store, 'task', 't1', (task) => ({
    ...task,
    Status: { ...task.Status, State: 'running' },
  }));
  const revise = (RevisionWeight: number | undefined, ForceUpdate: number) =>
    patch(store, 'service', 's1', (one) => ({
      ...one,
      SpecVersion: { Index: 100 + ForceUpdate },
      Spec: {
        ...one.Spec,
        TaskTemplate: { ...one.Spec.TaskTemplate, ForceUpdate },
        EndpointSpec: RevisionWeight === undefined ? {} : { RevisionWeight },
      },
    }));
  for (const [given, revision, expected] of [
    [undefined, 1, undefined],
    [25, 2, 100],
    [30, 2, 100],
    [undefined, 2, undefined],
  ] as const) {
    await revise(given, revision);
    publisher.flush();
    t.is(publisher.state.members?.[0]?.weight, expected, `${given}`);
    t.is(weight(), expected);
  }
  await revise(25, 2);
  await patchStored(store, 'task', 't1', (task) => ({ ...task, SpecVersion: { Index: 102 } }));
  publisher.flush();
  t.is(publisher.state.members?.[0]?.weight, 25, 'of the current revision');
  await revise(undefined, 0);

  const label = { 'com.docker.stack.namespace': 'shop' };
  const aliasesOf = async (Name: string) => {
    await patch(store, 'service', 's1', (one) => ({
      ...one,
      Spec: { ...one.Spec, Name, Labels: label },
    }));
    return meshState(store, 1).services?.[0]?.networks[0]?.aliases;
  };
  t.deepEqual(await aliasesOf('shop_web'), ['s1-alias', 'web.shop'], 'NAME.STACK');
  for (const other of ['web', 'shop_-web', 'shopweb']) {
    t.deepEqual(await aliasesOf(other), ['s1-alias'], `${other} has no name in its stack`);
  }

  await patch(store, 'service', 's1', (one) => ({
    ...one,
    Spec: { ...one.Spec, EndpointSpec: { Mode: 'dnsrr' } },
  }));
  t.deepEqual(meshState(store, 1).services?.[0]?.networks[0]?.vips, [], 'names lead to the tasks');
  await patch(store, 'service', 's1', (one) => ({
    ...one,
    Spec: { ...one.Spec, EndpointSpec: {} },
    Endpoint: { ...one.Endpoint, VirtualIPs: [] },
  }));
  t.is(meshState(store, 1).services, undefined, 'not known before it has its address');
});

test('a stop is held until no node leads others on its networks to the task', async (t) => {
  const store = createTestStore();
  await put(store, 'network', overlayDraft(NET));
  await put(store, 'node', nodeDraft('n1', { Mesh: MESH }));
  await put(store, 'service', overlayService('s1'));
  const draft = onOverlay(servingTask('t1', 'n1', 'running', { ServiceID: 's1' }));
  await put(store, 'task', { ...draft, Endpoint: { Ports: [] } });
  const publisher = following(store);
  const task = store.get('task', 't1')!;
  t.true(publisher.isEndpoint(task));
  const before = publisher.generation;
  await patchStored(store, 'task', 't1', (one) => ({ ...one, DesiredState: 'shutdown' }));
  publisher.flush();
  t.false(publisher.isEndpoint(task));
  t.true(publisher.departure('t1')! > before);
  t.is(publisher.departure('t1'), publisher.generation);
  publisher.stop();
});

/** A small generator of repeatable numbers (xorshift32). */
function generator(seed: number) {
  let state = seed;
  return (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A delta in an order of its own. */
function byKey(delta: MeshDelta): object {
  const sorted = (items: readonly object[]) => items.map((item) => JSON.stringify(item)).sort();
  return {
    ...delta,
    peers: sorted(delta.peers),
    ports: sorted(delta.ports),
    removedPeers: [...delta.removedPeers].sort(),
    removedPorts: sorted(delta.removedPorts),
    services: sorted(delta.services ?? []),
    members: sorted(delta.members ?? []),
    removedServices: [...(delta.removedServices ?? [])].sort(),
    removedMembers: [...(delta.removedMembers ?? [])].sort(),
  };
}

test('whatever happens, what is published equals the state of the store, and deltas lead to it', async (t) => {
  let members = 0;
  for (let seed = 1; seed <= 20; seed += 1) {
    const pick = generator(seed * 7919);
    const store = createTestStore();
    const clock = new VirtualClock(START_MS);
    await put(store, 'node', nodeDraft('n9', { Mesh: MESH }));
    await put(store, 'network', overlayDraft('net'));
    const publisher = following(store, clock);
    let before = publisher.state;
    const sum = new Map<string, unknown>();
    for (let step = 0; step < 60; step += 1) {
      const [node, service, task] = [`n${pick(3)}`, `s${pick(3)}`, `t${pick(6)}`];
      await store.transact((transaction) => {
        const [oldNode, oldTask] = [transaction.get('node', node), transaction.get('task', task)];
        const oldService = transaction.get('service', service);
        const Ports = [{ ...PORT, PublishedPort: 8000 + Number(service[1]) }];
        switch (pick(6)) {
          case 0:
            if (oldNode === undefined) transaction.create('node', nodeDraft(node, { Mesh: MESH }));
            else transaction.remove('node', node);
            break;
          case 1: {
            const State = oldNode?.Status.State === 'down' ? 'ready' : 'down';
            if (oldNode) transaction.update('node', { ...oldNode, Status: { State, Addr: '' } });
            break;
          }
          case 2:
            if (oldService !== undefined) transaction.remove('service', service);
            else
              transaction.create(
                'service',
                overlayService(service, { Endpoint: { Spec: {}, Ports } }),
              );
            break;
          case 3:
            if (oldTask === undefined) {
              const of = { ServiceID: service, Endpoint: { Ports } };
              transaction.create('task', onOverlay(servingTask(task, node, 'running', of)));
            } else transaction.remove('task', task);
            break;
          case 4: {
            const DesiredState = oldTask?.DesiredState === 'running' ? 'shutdown' : 'running';
            if (oldTask) transaction.update('task', { ...oldTask, DesiredState });
            break;
          }
          default: {
            const Ready = oldTask?.Status.Ready === false;
            if (oldTask) {
              transaction.update('task', { ...oldTask, Status: { ...oldTask.Status, Ready } });
            }
          }
        }
      });
      if (pick(3) > 0) continue;
      publisher.flush();
      const { generation, ...published } = publisher.state;
      const { generation: _, ...expected } = meshState(store, 0);
      t.deepEqual(published, expected, `seed ${seed}, step ${step}`);
      t.true(generation <= store.index);

      const delta = publisher.deltaFrom(before.generation);
      const least = meshDelta(before, publisher.state);
      t.deepEqual(byKey(delta), byKey(least), 'what the two states differ in, and no more');
      for (const { protocol, publishedPort } of delta.removedPorts) {
        sum.delete(portKey(protocol, publishedPort));
      }
      for (const port of delta.ports) sum.set(portKey(port.protocol, port.publishedPort), port);
      const whole = new Map(expected.ports.map((port) => [`tcp/${port.publishedPort}`, port]));
      t.deepEqual(new Map([...sum].sort()), new Map([...whole].sort()));
      before = publisher.state;
      members += before.members?.filter(({ serves }) => serves).length ?? 0;
    }
    publisher.stop();
    t.is(clock.pending, 0);
  }
  t.true(members > 0, 'some took traffic');
});

test('no node is told of a port that the cluster needs, whatever a service was given', async (t) => {
  const store = await serving();
  const publisher = following(store);
  const ports = () => {
    publisher.flush();
    return publisher.state.ports.map(({ publishedPort }) => publishedPort);
  };
  t.deepEqual(ports(), [8080]);
  const role = { Role: 'manager' as const, RaftID: 7 };
  await patch(store, 'node', 'n1', (node) => ({
    ...node,
    ...role,
    ManagerAddr: '198.18.0.7:8080',
  }));
  t.deepEqual(ports(), []);
  await patch(store, 'node', 'n1', (node) => ({ ...node, ManagerAddr: '198.18.0.7:2377' }));
  t.deepEqual(ports(), [8080]);
  const Ports = [
    { ...PORT, PublishedPort: 2377 },
    { ...PORT, PublishedPort: 4789, Protocol: 'udp' as const },
  ];
  await put(store, 'service', serviceDraft('old', { Endpoint: { Spec: {}, Ports } }));
  t.deepEqual(ports(), [8080]);
});

test('who may connect to a service is told to nodes, on overlay networks or not', async (t) => {
  const store = createTestStore();
  const Allow = [{ From: 'web', Ports: [{ Protocol: 'tcp' as const, Port: 80 }] }];
  const service = serviceDraft('s1');
  const Spec = { ...service.Spec, EndpointSpec: { Allow } };
  await put(store, 'service', { ...service, Spec });
  const { Name } = service.Spec;
  t.deepEqual(meshState(store, 1).services, [
    { serviceId: 's1', name: Name, networks: [], allow: Allow },
  ]);
});
