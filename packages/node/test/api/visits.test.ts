import { randomBytes } from 'node:crypto';
import { silentLogger } from '@swarm/api';
import {
  leaderLoops,
  networkDraft,
  nodeDraft,
  put,
  serviceDraft,
  taskDraft,
} from '@swarm/manager/testing';
import { VirtualClock } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import { type Running, serviceBody, start } from './support/fake-node.js';

/** A change costs the same with few services as with many: what is counted is the objects that it reads. */
const FEW = 30;
const MANY = 300;
/** Timers of every loop fire in this time. */
const SETTLE_MS = 20_000;
const FIRST_PORT = 1000;

interface World {
  readonly api: Running;
  settle(): Promise<void>;
}

async function world(t: ExecutionContext, services: number): Promise<World> {
  const api = await start({ nodeId: 'manager1' });
  const { store } = api.node;
  const clock = new VirtualClock(Date.now());
  const loops = leaderLoops({ store, clock, logger: silentLogger, randomBytes });
  t.teardown(async () => {
    await Promise.all(loops.map((loop) => loop.stop()));
    await api.close();
  });
  await put(store, 'node', nodeDraft('n1', { Status: { State: 'down', Addr: '' } }));
  for (let at = 0; at < services; at += 1) {
    const id = `s${at}`;
    const Ports = [
      { Protocol: 'tcp', TargetPort: 80, PublishedPort: FIRST_PORT + at, PublishMode: 'ingress' },
      { Protocol: 'tcp', TargetPort: 81, PublishMode: 'ingress' },
    ] as const;
    const spec = { Mode: { Replicated: { Replicas: 0 } }, EndpointSpec: { Ports } };
    await put(store, 'service', serviceDraft(id, {}, spec));
    // Of the past: nobody has anything to do with it.
    const Status = { State: 'complete', Timestamp: '2026-01-01T00:00:00Z', Message: '' } as const;
    const past = { Status, DesiredState: 'shutdown', ServiceID: id, NodeID: 'n1' } as const;
    await put(store, 'task', taskDraft(`t${at}`, past));
    const Subnets = [{ Subnet: `10.1.${at % 256}.${at < 256 ? 0 : 128}/25`, Gateway: '10.1.0.1' }];
    await put(store, 'network', networkDraft(`net${at}`, { Subnets, VNI: 5000 + at }));
  }
  for (const loop of loops) loop.start();
  const settle = () => clock.advance(SETTLE_MS);
  await settle();
  // The next one finds where the free ports begin; what it learns serves all later ones.
  const EndpointSpec = { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishMode: 'ingress' }] };
  await put(store, 'service', serviceDraft('first', {}, { EndpointSpec } as never));
  await settle();
  t.deepEqual(store.get('service', 's7')?.Endpoint.Ports?.length, 2, 'the loops work');
  return { api, settle };
}

/** What each step reads, the loops included. */
async function visitsOf({ api, settle }: World): Promise<Record<string, number>> {
  const { store } = api.node;
  const visits: Record<string, number> = {};
  const step = async (name: string, method: string, path: string, json?: object) => {
    const before = store.visits;
    const reply = await api.call(method, path, json && { json });
    if (reply.status >= 300) throw new Error(`${name}: ${reply.text}`);
    await settle();
    visits[name] = store.visits - before;
    return reply;
  };
  const ports = (PublishedPort?: number) => ({
    EndpointSpec: { Ports: [{ TargetPort: 80, ...(PublishedPort && { PublishedPort }) }] },
    Mode: { Replicated: { Replicas: 0 } },
  });
  await step('nothing', 'GET', '/_ping');
  await step('create', 'POST', '/services/create', serviceBody('new', ports(70)));
  await step('create with an open port', 'POST', '/services/create', serviceBody('open', ports()));
  const service = (await step('inspect by name', 'GET', '/services/new')).json;
  await step('inspect by the start of an id', 'GET', `/services/${service.ID.slice(0, 20)}`);
  const path = `/services/new/update?version=${service.Version.Index}`;
  await step('update', 'POST', path, { ...service.Spec, Labels: { a: 'b' }, ...ports(71) });
  const { Version, Spec } = (await api.call('GET', '/nodes/manager1')).json;
  const update = `/nodes/manager1/update?version=${Version.Index}`;
  await step('label a node', 'POST', update, { ...Spec, Labels: { a: 'b' } });
  const network = { Driver: 'overlay', EnableIPv6: true };
  await step('create a network', 'POST', '/networks/create', { Name: 'back', ...network });
  const Networks = [{ Target: 'back' }];
  const TaskTemplate = { ContainerSpec: { Image: 'nginx:1' }, Networks };
  await step('create on a network', 'POST', '/services/create', {
    ...serviceBody('on', ports()),
    TaskTemplate,
  });
  if (store.byName('service', 'on')?.Endpoint.VirtualIPs?.length !== 2)
    throw new Error('the service has no virtual addresses');
  await step('inspect a network', 'GET', '/networks/back?verbose=true');
  await step('remove', 'DELETE', '/services/new');
  await step('remove from the network', 'DELETE', '/services/on');
  await step('remove the network', 'DELETE', '/networks/back');
  await step('remove the one with an open port', 'DELETE', '/services/open');
  return visits;
}

test('what a change reads does not depend on how many services there are', async (t) => {
  const few = await visitsOf(await world(t, FEW));
  const many = await visitsOf(await world(t, MANY));
  t.log(few);
  t.deepEqual(many, few);
});
