import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Network, PROGRAM, type Task } from '@swarm/api';
import { nodeDraft, patch, put, serviceDraft, taskDraft } from '@swarm/manager/testing';
import { until } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import type { Reply } from './support/client.js';
import { type Running, serviceBody, start, type StartOptions } from './support/fake-node.js';

async function manager(t: ExecutionContext, options: StartOptions = {}): Promise<Running> {
  const api = await start(options);
  t.teardown(() => api.close());
  return api;
}

const code = (reply: Reply) => reply.headers['x-swarm-error-code'];
const create = (api: Running, Name: string, more: object = {}, headers = {}) =>
  api.call('POST', '/networks/create', { json: { Name, Driver: 'overlay', ...more }, headers });
const onNetworks = (...Networks: readonly object[]) => ({
  TaskTemplate: { ContainerSpec: { Image: 'nginx:1' }, Networks },
});
const service = (api: Running, name: string, ...Networks: readonly object[]) =>
  api.call('POST', '/services/create', { json: serviceBody(name, onNetworks(...Networks)) });

test('a network is complete when the reply comes, and shown as Docker shows it', async (t) => {
  const api = await manager(t);
  const reply = await create(api, 'back', {
    EnableIPv6: true,
    Attachable: true,
    Labels: { a: 'b' },
    IPAM: { Config: [{ Subnet: '10.1.0.0/24', IPRange: '10.1.0.128/25', Gateway: '10.1.0.9' }] },
    Options: { 'com.docker.network.driver.mtu': '1400' },
  });
  t.is(reply.status, 201, reply.text);
  t.is(reply.json.Warning, '');
  const { Id } = reply.json;
  const stored = api.node.store.get('network', Id);
  t.is(stored?.Subnets.length, 2);
  t.is(stored?.VNI, 4097);
  for (const name of ['back', Id, Id.slice(0, 12)]) {
    const { json } = await api.call('GET', `/networks/${name}`);
    t.like(json, {
      Name: 'back',
      Id,
      Scope: 'swarm',
      Driver: 'overlay',
      EnableIPv4: true,
      EnableIPv6: true,
      Internal: false,
      Attachable: true,
      Ingress: false,
      Containers: null,
      Labels: { a: 'b' },
      Options: {
        'com.docker.network.driver.overlay.vxlanid_list': '4097',
        'com.docker.network.driver.mtu': '1400',
      },
    });
    t.deepEqual(json.IPAM.Config[0], {
      Subnet: '10.1.0.0/24',
      IPRange: '10.1.0.128/25',
      Gateway: '10.1.0.9',
    });
    t.regex(json.IPAM.Config[1].Subnet, /^fd.*\/64$/);
    t.is(json.Creation, undefined);
  }
});

test('names are unique, whatever their case, and an overlap says with what', async (t) => {
  const api = await manager(t);
  await create(api, 'back', { IPAM: { Config: [{ Subnet: '10.1.0.0/16' }] } });
  const taken = await create(api, 'back');
  t.is(taken.status, 409);
  t.is(taken.message, 'network with name back already exists');
  t.is((await create(api, 'BACK')).status, 409);
  const overlap = await create(api, 'other', { IPAM: { Config: [{ Subnet: '10.1.7.0/24' }] } });
  t.is(overlap.status, 409);
  t.regex(overlap.message, /10\.1\.7\.0\/24 overlaps with 10\.1\.0\.0\/16 of network back \(/);
});

test('many networks at once have subnets and VNIs of their own', async (t) => {
  const api = await manager(t);
  const replies = await Promise.all(
    Array.from({ length: 30 }, (_, at) => create(api, `n${at}`, { EnableIPv6: at % 2 === 0 })),
  );
  t.deepEqual([...new Set(replies.map(({ status }) => status))], [201]);
  const networks = [...api.node.store.list('network')];
  const subnets = networks.flatMap(({ Subnets }) => Subnets.map(({ Subnet }) => Subnet));
  t.is(new Set(subnets).size, 45);
  t.is(new Set(networks.map(({ VNI }) => VNI)).size, 30);
});

test('the same request with the same key makes one network', async (t) => {
  const api = await manager(t);
  const headers = { 'Idempotency-Key': '"one"' };
  const first = await create(api, 'back', {}, headers);
  const again = await create(api, 'back', {}, headers);
  t.deepEqual(again.json, first.json);
  t.is(again.status, 201);
  const other = await create(api, 'back', { Internal: true }, headers);
  t.is(other.status, 422);
  t.is(code(other), 'IDEMPOTENCY_KEY_REUSED');
  t.is([...api.node.store.list('network')].length, 1);
});

test('in a cluster below the level of networks none is made', async (t) => {
  const api = await manager(t, { featureLevel: 4 });
  const reply = await create(api, 'back');
  t.is(reply.status, 400);
  t.regex(reply.message, /^a network needs feature level 5, the cluster is at 4: upgrade every/);
});

test('without an engine there are no networks of the host', async (t) => {
  const api = await manager(t);
  const reply = await create(api, 'local', { Driver: 'bridge' });
  t.is(reply.status, 501);
  t.regex(reply.message, /no Docker Engine, .*--driver overlay$/);
});

test('services name networks by name, id or its start, and store ids', async (t) => {
  const api = await manager(t);
  const { Id } = (await create(api, 'back')).json;
  for (const [at, Target] of ['back', Id, Id.slice(0, 8)].entries()) {
    const made = await service(api, `web${at}`, { Target, Aliases: ['db', 'db.internal'] });
    t.is(made.status, 201, made.text);
    const { Spec } = api.node.store.get('service', made.json.ID)!;
    t.deepEqual(Spec.TaskTemplate.Networks, [{ Target: Id, Aliases: ['db', 'db.internal'] }]);
  }
  const old = { ...serviceBody('old'), Networks: [{ Target: 'back' }] };
  const made = await api.call('POST', '/services/create', { json: old });
  t.is(
    api.node.store.get('service', made.json.ID)?.Spec.TaskTemplate.Networks?.[0]?.Target,
    Id,
    'as clients before 1.25 name them',
  );
});

test('networks that a service cannot have are refused precisely', async (t) => {
  const api = await manager(t);
  await create(api, 'ingress', { Ingress: true });
  const { Id } = (await create(api, 'back')).json;
  const cases: readonly (readonly [readonly object[], number, RegExp])[] = [
    [[{ Target: 'nope' }], 404, /^network nope not found$/],
    [[{ Target: '' }], 400, /has no Target/],
    [[{ Target: 'ingress' }], 400, /^Service cannot be explicitly attached to the ingress network/],
    [
      [{ Target: 'back' }, { Target: Id }],
      400,
      /attached to a network once, and "back" is the same/,
    ],
    [[{ Target: 'back' }, { Target: 'host' }], 400, /^network "host": .*remove "back"/],
    [[{ Target: 'back', Aliases: ['a b'] }], 400, /alias "a b" is not a host name/],
    [[{ Target: 'back', Aliases: ['-x'] }], 400, /alias "-x" is not a host name/],
    [[{ Target: 'back', DriverOpts: { a: 'b' } }], 501, /DriverOpts\["a"\] is not served/],
    [Array.from({ length: 65 }, (_, n) => ({ Target: `n${n}` })), 400, /has 65, at most 64/],
  ];
  for (const [networks, status, message] of cases) {
    const reply = await service(api, 'web', ...networks);
    t.is(reply.status, status, reply.text);
    t.regex(reply.message, message);
  }
  const ports = [{ TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }];
  const EndpointSpec = { Mode: 'dnsrr', Ports: ports };
  const body = { ...serviceBody('web', onNetworks({ Target: 'back' })), EndpointSpec };
  const reply = await api.call('POST', '/services/create', { json: body });
  t.regex(reply.message, /port published with ingress mode can't be used with dnsrr mode/);
});

test('an update changes networks, and a rollback to a network that is gone is refused', async (t) => {
  const api = await manager(t);
  await create(api, 'back');
  await create(api, 'front');
  const { ID } = (await service(api, 'web', { Target: 'back' })).json;
  const update = async (Target: string, query = '') => {
    const { Version, Spec } = (await api.call('GET', `/services/${ID}`)).json;
    return api.call('POST', `/services/${ID}/update?version=${Version.Index}${query}`, {
      json: { ...Spec, ...onNetworks({ Target }) },
    });
  };
  t.is((await update('front')).status, 200);
  const front = api.node.store.byName('network', 'front')!;
  t.is(api.node.store.get('service', ID)?.Spec.TaskTemplate.Networks?.[0]?.Target, front.ID);
  t.is((await update('nope')).status, 404);
  t.is((await api.call('DELETE', '/networks/back')).status, 204);
  const back = await update('front', '&rollback=previous');
  t.is(back.status, 404, back.text);
  t.regex(back.message, /^network \w+ not found$/);
});

test('a network in use is not removed, and the error names who uses it', async (t) => {
  const api = await manager(t);
  const { Id } = (await create(api, 'back')).json;
  await service(api, 'web', { Target: 'back' });
  const one = await api.call('DELETE', '/networks/back');
  t.is(one.status, 400);
  t.regex(one.message, new RegExp(`^network ${Id} is in use by service web: `));
  for (const name of ['b', 'c', 'd', 'e', 'f', 'g']) await service(api, name, { Target: Id });
  const many = await api.call('DELETE', `/networks/${Id}`);
  t.regex(many.message, /is in use by services \w+(, \w+){4} and 2 more: /);
  for (const { ID } of api.node.store.list('service'))
    await api.node.store.transact((transaction) => transaction.remove('service', ID));
  const gone = await api.call('DELETE', '/networks/back');
  t.is(gone.status, 204);
  t.is(gone.text, '');
  t.is((await api.call('GET', '/networks/back')).status, 404);
  t.is((await api.call('DELETE', '/networks/back')).message, 'network back not found');
});

const attachedTo = (network: string, more: Partial<Task> = {}) =>
  taskDraft('t', {
    NodeID: 'n1',
    Status: { ...taskDraft('t').Status, State: 'running' },
    NetworksAttachments: [
      { Network: { ID: network, Spec: { Name: 'back' } }, Addresses: ['10.0.0.5/32'] },
    ],
    ...more,
  });

/** A network with a service that is being removed, whose task still stops. */
async function leaving(api: Running) {
  const { store } = api.node;
  await put(store, 'node', nodeDraft('n1'));
  const { Id } = (await create(api, 'back')).json;
  const { ID } = (await service(api, 'web', { Target: 'back' })).json;
  await put(store, 'task', attachedTo(Id, { ServiceID: ID, DesiredState: 'remove' }));
  await api.call('DELETE', `/services/${ID}`);
  return { store, serviceId: ID as string };
}

test('a removal does not wait for ever for a service that goes, and then names it', async (t) => {
  const api = await manager(t, { limits: { removalMs: 200 } });
  await leaving(api);
  const reply = await api.call('DELETE', '/networks/back');
  t.is(reply.status, 400);
  t.regex(reply.message, /in use by service web \(being removed\)/);
});

test('a removal waits for a service that goes and for tasks that stop, not for those of a node that is down', async (t) => {
  const api = await manager(t);
  const { store, serviceId } = await leaving(api);
  let isGone = false;
  const removal = api.call('DELETE', '/networks/back').then((reply) => {
    isGone = true;
    return reply;
  });
  await store.transact((transaction) => transaction.remove('service', serviceId));
  const unused = await api.call('GET', '/networks?filters={"dangling":["true"]}');
  t.deepEqual(unused.json, [], 'a task still stops');
  t.false(isGone);
  await patch(store, 'node', 'n1', (node) => ({
    ...node,
    Status: { ...node.Status, State: 'down' },
  }));
  t.is((await removal).status, 204);
});

test('a task that only has to stop is in nobody’s way after a while', async (t) => {
  const api = await manager(t, { limits: { removalMs: 200 } });
  const { store, serviceId } = await leaving(api);
  await store.transact((transaction) => transaction.remove('service', serviceId));
  t.is((await api.call('DELETE', '/networks/back')).status, 204);
});

test('a task that its update still has to replace keeps the network', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  await put(store, 'node', nodeDraft('n1'));
  const { Id } = (await create(api, 'back')).json;
  await put(store, 'task', attachedTo(Id));
  const reply = await api.call('DELETE', '/networks/back');
  t.is(reply.status, 400);
  t.regex(reply.message, new RegExp(`^network ${Id} is in use by task t \\(service\\.1\\.t\\)`));
  await patch(store, 'task', 't', (task) => ({
    ...task,
    Status: { ...task.Status, State: 'shutdown' },
  }));
  t.is((await api.call('DELETE', '/networks/back')).status, 204);
});

test('verbose shows services with their addresses, tasks and nodes', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  await put(store, 'node', nodeDraft('n1'));
  const { Id } = (await create(api, 'back')).json;
  const { ID } = (await service(api, 'web', { Target: 'back' })).json;
  await patch(store, 'service', ID, (one) => ({
    ...one,
    Endpoint: { ...one.Endpoint, VirtualIPs: [{ NetworkID: Id, Addr: '10.0.0.2/24' }] },
  }));
  await put(store, 'task', attachedTo(Id, { ServiceID: ID, ServiceName: 'web' }));
  const { json } = await api.call('GET', '/networks/back?verbose=true');
  t.deepEqual(json.Peers, [{ Name: 'n1', IP: '198.18.0.1' }]);
  t.deepEqual(json.Services, {
    web: {
      VIP: '10.0.0.2',
      Ports: [],
      LocalLBIndex: 0,
      Tasks: [
        {
          Name: 'service.1.t',
          EndpointID: 't',
          EndpointIP: '10.0.0.5',
          Info: { 'Host IP': '198.18.0.1' },
        },
      ],
    },
  });
  t.is((await api.call('GET', '/networks/back')).json.Services, undefined);
});

test('lists are filtered as Docker’s are', async (t) => {
  const api = await manager(t);
  await create(api, 'ingress', { Ingress: true });
  const { Id } = (await create(api, 'back', { Labels: { a: 'b' } })).json;
  await create(api, 'front');
  await service(api, 'web', { Target: 'front' });
  const list = async (filters: object) => {
    const query = encodeURIComponent(JSON.stringify(filters));
    const { json } = await api.call('GET', `/networks?filters=${query}`);
    return json.map(({ Name }: { Name: string }) => Name).sort();
  };
  t.deepEqual(await list({}), ['back', 'front', 'ingress']);
  t.deepEqual(await list({ name: ['a'] }), ['back']);
  t.deepEqual(await list({ id: [Id.slice(3, 9)] }), ['back']);
  t.deepEqual(await list({ label: ['a=b'] }), ['back']);
  t.deepEqual(await list({ label: ['a=c'] }), []);
  t.deepEqual(await list({ driver: ['overlay'] }), ['back', 'front', 'ingress']);
  t.deepEqual(await list({ driver: ['bridge'] }), []);
  t.deepEqual(await list({ scope: ['local'] }), []);
  t.deepEqual(await list({ type: ['custom'] }), ['back', 'front', 'ingress']);
  t.deepEqual(await list({ dangling: ['true'] }), ['back']);
  t.deepEqual(await list({ dangling: ['false'] }), ['front', 'ingress']);
  t.is((await api.call('GET', '/networks?filters={"nope":["x"]}')).status, 400);
});

test('a prune removes what nothing uses, by label and age, and never the ingress network', async (t) => {
  const api = await manager(t);
  await create(api, 'ingress', { Ingress: true });
  for (const [name, Labels] of [
    ['used', {}],
    ['kept', { keep: '1' }],
    ['gone', {}],
  ] as const)
    await create(api, name, { Labels });
  await service(api, 'web', { Target: 'used' });
  const prune = async (filters: object) => {
    const query = encodeURIComponent(JSON.stringify(filters));
    return api.call('POST', `/networks/prune?filters=${query}`);
  };
  t.deepEqual((await prune({ until: ['1h'] })).json, { NetworksDeleted: [] });
  t.deepEqual((await prune({ 'label!': ['keep'] })).json, { NetworksDeleted: ['gone'] });
  t.deepEqual((await prune({ label: ['keep=2'] })).json, { NetworksDeleted: [] });
  t.deepEqual((await prune({})).json, { NetworksDeleted: ['kept'] });
  for (const filters of [{ until: ['1h', '2h'] }, { until: ['yesterday'] }, { name: ['x'] }])
    t.is((await prune(filters)).status, 400, JSON.stringify(filters));
  const names = [...api.node.store.list('network')].map(({ Spec }) => Spec.Name);
  t.deepEqual(names.sort(), ['ingress', 'used']);
});

test('the ingress network goes when no service publishes a port, and is made anew by a user', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  await create(api, 'ingress', { Ingress: true });
  const second = await create(api, 'second', { Ingress: true });
  t.is(second.status, 409);
  t.regex(second.message, /^ingress network \(\w+\) is already present/);
  const Ports = [{ TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }];
  const body = serviceBody('web', { EndpointSpec: { Ports } });
  const { ID } = (await api.call('POST', '/services/create', { json: body })).json;
  const used = await api.call('DELETE', '/networks/ingress');
  t.is(used.status, 400);
  t.regex(used.message, /^ingress network cannot be removed because service web depends on it/);
  await store.transact((transaction) => transaction.remove('service', ID));
  t.is((await api.call('DELETE', '/networks/ingress')).status, 204);
  t.true(store.cluster()?.IngressRemoved);
  const without = await api.call('POST', '/services/create', { json: body });
  t.is(without.status, 400);
  t.regex(without.message, /^service needs ingress network, but no ingress network is present/);
  const again = await create(api, 'my-ingress', { Ingress: true, Labels: { a: 'b' } });
  t.is(again.status, 201, again.text);
  t.is(store.cluster()?.IngressRemoved, undefined);
  t.like(store.ingressNetwork(), { VNI: 4096, Spec: { Name: 'my-ingress', Labels: { a: 'b' } } });
  t.is((await api.call('POST', '/services/create', { json: body })).status, 201);
  const { json } = await api.call('GET', '/swarm');
  t.is(json.IngressRemoved, undefined);
});

test('an ingress network is made again with another subnet, gateway and MTU, and is shown so', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  await create(api, 'ingress', { Ingress: true });
  t.is((await api.call('DELETE', '/networks/ingress')).status, 204);
  t.is(store.cluster()?.IngressSubnet, undefined, 'it is what nodes assume');
  for (const { ID } of [...store.list('node')]) {
    await patch(store, 'node', ID, (node) => ({
      ...node,
      Description: { ...nodeDraft('x').Description!, Program: PROGRAM },
    }));
  }
  const Options = { 'com.docker.network.driver.mtu': '1200' };
  const IPAM = { Config: [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }] };
  const made = await create(api, 'my-ingress', { Ingress: true, IPAM, Options });
  t.is(made.status, 201, made.text);
  const { json } = await api.call('GET', '/networks/my-ingress');
  t.like(json, {
    ...{ Name: 'my-ingress', Ingress: true, Scope: 'swarm', Attachable: false },
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }],
    },
    Options: { ...Options, 'com.docker.network.driver.overlay.vxlanid_list': '4096' },
  });
  t.is((await api.call('DELETE', '/networks/my-ingress')).status, 204);
  t.is(store.cluster()?.IngressSubnet, '10.11.0.0/16');
  t.is((await api.call('GET', '/swarm')).json.IngressSubnet, undefined);
  await create(api, 'third', { Ingress: true });
  t.is(store.ingressNetwork()?.Subnets[0]?.Subnet, '10.240.0.0/12');
  t.is(store.cluster()?.IngressSubnet, undefined);
});

test('the ingress network stays while a task has an address on it, and waits for services that go', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  const { Id } = (await create(api, 'ingress', { Ingress: true })).json;
  await put(store, 'node', nodeDraft('n1'));
  const Network = { ID: Id, Spec: { Name: 'ingress', Ingress: true } };
  const NetworksAttachments = [{ Network, Addresses: ['10.240.1.2/32'] }];
  const running = { ...taskDraft('t').Status, State: 'running' as const };
  await put(store, 'task', taskDraft('t', { NodeID: 'n1', NetworksAttachments, Status: running }));
  const held = await api.call('DELETE', '/networks/ingress');
  t.is(held.status, 400);
  t.regex(held.message, /^ingress network cannot be removed because task t .* in host mode/);
  const Ports = [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }];
  const web = serviceDraft('web', { PendingDelete: true }, { EndpointSpec: { Ports } as never });
  await put(store, 'service', web);
  const unused = async () =>
    (await api.call('GET', '/networks?filters={"dangling":["true"]}')).json.length;
  t.is(await unused(), 0);
  await patch(store, 'task', 't', (task) => ({ ...task, DesiredState: 'remove' }));
  const removal = api.call('DELETE', '/networks/ingress');
  await until('the removal waits', () => api.node.store.ingressNetwork() !== undefined);
  await store.transact((transaction) => transaction.remove('service', 'web'));
  await store.transact((transaction) => transaction.remove('task', 't'));
  t.is((await removal).status, 204);
});

test('rules for an open service are refused while no node enforces them', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  await put(store, 'service', serviceDraft('web'));
  const update = async (EndpointSpec: object) => {
    const { Version, Spec } = (await api.call('GET', '/services/web')).json;
    return api.call('POST', `/services/web/update?version=${Version.Index}`, {
      json: { ...Spec, EndpointSpec },
    });
  };
  const Allow = [{ From: '198.18.0.0/24' }];
  const refused = await update({ Allow });
  t.is(refused.status, 400);
  t.regex(refused.message, /^EndpointSpec\.Allow: no node can enforce who may connect/);
  t.is((await update({})).status, 200);
  const Description = { ...nodeDraft('n').Description!, RuntimeCapabilities: ['network-overlay'] };
  await put(store, 'node', nodeDraft('n', { Description }));
  t.is((await update({ Allow })).status, 200);
  await store.transact((transaction) => transaction.remove('node', 'n'));
  t.is((await update({ Allow: [] })).status, 200, 'it is not open');
});

test('below the level of networks the ingress network stays', async (t) => {
  const api = await manager(t, { featureLevel: 4 });
  const { store } = api.node;
  const ingress = { Spec: { ...(await ingressSpec()), Ingress: true } };
  await put(store, 'network', { ID: 'ing', ...ingress, Subnets: [], VNI: 4096 });
  const reply = await api.call('DELETE', '/networks/ing');
  t.is(reply.status, 400);
  t.regex(reply.message, /IngressRemoved needs feature level 5/);
});

async function ingressSpec(): Promise<Network['Spec']> {
  return {
    Name: 'ingress',
    Labels: {},
    Driver: 'overlay',
    DriverOpts: {},
    Internal: false,
    Attachable: false,
    Ingress: true,
    IPv6Enabled: false,
    Scope: 'swarm',
  };
}

test('events tell of networks, with their names', async (t) => {
  const api = await manager(t);
  const { Id } = (await create(api, 'back')).json;
  await api.call('DELETE', '/networks/back');
  const filters = encodeURIComponent(JSON.stringify({ type: ['network'], scope: ['swarm'] }));
  const { text } = await api.call(
    'GET',
    `/events?since=1&until=${Date.now() / 1000}&filters=${filters}`,
  );
  const events = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    events.map(({ Type, Action, Actor }) => [Type, Action, Actor.ID, Actor.Attributes]),
    [
      ['network', 'create', Id, { name: 'back' }],
      ['network', 'remove', Id, { name: 'back' }],
    ],
  );
});

/** An engine with one network of its own, and what it was asked. */
async function engine(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-engine-'));
  const socketPath = join(folder, 'engine.sock');
  const seen: string[] = [];
  const server = http.createServer((request, response) => {
    const { method, url = '' } = request;
    seen.push(`${method} ${url}`);
    response.setHeader('Api-Version', '1.41');
    if (url.endsWith('/networks/create')) {
      response.statusCode = 201;
      return void response.end('{"Id":"local1","Warning":""}');
    }
    if (url.includes('/networks/prune'))
      return void response.end('{"NetworksDeleted":["l1","l2"]}');
    if (method === 'DELETE') {
      response.statusCode = 204;
      return void response.end();
    }
    response.end('[]');
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { socketPath, seen };
}

test('networks of the host stay with its engine, those of the cluster do not reach it', async (t) => {
  const { socketPath, seen } = await engine(t);
  const api = await manager(t, { engineSocket: socketPath });
  t.is((await create(api, 'mine', { Driver: 'bridge' })).json.Id, 'local1');
  t.is((await create(api, 'plain', { Driver: '' })).json.Id, 'local1');
  const { Id } = (await create(api, 'back')).json;
  t.truthy(api.node.store.get('network', Id));
  t.is((await api.call('DELETE', '/networks/mine')).status, 204);
  t.is(seen.at(-1), 'DELETE /networks/mine');
  const asked = seen.length;
  t.is((await api.call('DELETE', '/networks/back')).status, 204);
  t.is(seen.length, asked);
});

test('a follower’s prune answers for the cluster and for its own engine', async (t) => {
  const leader = await manager(t);
  const { socketPath } = await engine(t);
  const follower = await manager(t, { engineSocket: socketPath, limits: { leaderMs: 3000 } });
  follower.node.leads = false;
  follower.node.others = [
    { nodeId: leader.node.nodeId, address: 'x:2377', reachability: 'reachable', leader: true },
  ];
  follower.node.leaderSocket = await leader.listenAs(follower.node.nodeId);
  const made = await create(follower, 'back');
  t.is(made.status, 201, made.text);
  t.truthy(leader.node.store.get('network', made.json.Id));
  const { json } = await follower.call('POST', '/networks/prune');
  t.deepEqual(json, { NetworksDeleted: ['back', 'l1', 'l2'] });
});

test('a service that goes and a network that follows: what a stack’s removal does', async (t) => {
  const api = await manager(t);
  const { store } = api.node;
  await create(api, 'back');
  await put(store, 'service', {
    ...serviceDraft('web'),
    Spec: {
      ...serviceDraft('web').Spec,
      TaskTemplate: {
        ...serviceDraft('web').Spec.TaskTemplate,
        Networks: [{ Target: store.byName('network', 'back')!.ID }],
      },
    },
  });
  await api.call('DELETE', '/services/web');
  const removal = api.call('DELETE', '/networks/back');
  await until('the service goes', () => store.get('service', 'web')?.PendingDelete === true);
  await store.transact((transaction) => transaction.remove('service', 'web'));
  t.is((await removal).status, 204);
});
