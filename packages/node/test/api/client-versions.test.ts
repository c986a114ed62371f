import { setImmediate } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { nodeDraft, type Objects, put, type SpecKind } from '@swarm/manager/testing';
import { type Running, serviceBody, start } from './support/fake-node.js';

const OUT_OF_SEQUENCE = 'update out of sequence';

/** An object of each kind that clients and the cluster both write. */
interface Case {
  readonly kind: SpecKind;
  readonly id: string;
  readonly show: string;
  readonly update: string;
  /** What the cluster writes by itself, one after the other. */
  readonly writes: readonly object[];
}

async function cases(api: Running): Promise<Case[]> {
  const reply = await api.call('POST', '/services/create', { json: serviceBody('web') });
  const service = reply.json.ID as string;
  await put(api.node.store, 'node', nodeDraft('worker1'));
  const cluster = api.node.store.cluster()!;
  const removed = { x: { Until: '2030-01-01T00:00:00.000Z' } };
  return [
    {
      kind: 'service',
      id: service,
      show: `/services/${service}`,
      update: `/services/${service}/update`,
      writes: [
        { AllocationError: 'no port' },
        { UpdateStatus: { State: 'updating', Message: 'update in progress' } },
        { Endpoint: { Spec: { Mode: 'vip' } } },
      ],
    },
    {
      kind: 'node',
      id: 'worker1',
      show: '/nodes/worker1',
      update: '/nodes/worker1/update',
      writes: [
        { Status: { State: 'down', Addr: '' } },
        { Status: { State: 'ready', Addr: '198.18.0.2' } },
        { Mesh: { Index: 9, Address: '198.18.0.2', Subnet: '10.240.9.0/24' } },
        { Role: 'worker', CertificateExpiresAt: '2030-01-01T00:00:00.000Z' },
      ],
    },
    {
      kind: 'cluster',
      id: cluster.ID,
      show: '/swarm',
      update: '/swarm/update',
      writes: [
        { Private: { ...cluster.Private, RemovedNodes: removed } },
        { RootRotationInProgress: false },
      ],
    },
  ];
}

async function world(t: ExecutionContext) {
  const api = await start({ nodeId: 'manager1' });
  t.teardown(() => api.close());
  const read = async ({ show }: Case) => (await api.call('GET', show)).json;
  const post = ({ update }: Case, version: number, spec: object) =>
    api.call('POST', `${update}?version=${version}`, { json: spec });
  const clusterWrites = (one: Case, change: object) =>
    api.node.store.transact((transaction) => {
      const object = transaction.get(one.kind, one.id)!;
      transaction.update(one.kind, { ...object, ...change } as Objects[SpecKind]);
    });
  return { api, read, post, clusterWrites, all: await cases(api) };
}

test('what the cluster writes between a read and a post does not make the post stale', async (t) => {
  const { api, read, post, clusterWrites, all } = await world(t);
  for (const one of all) {
    const { Version, Spec } = await read(one);
    for (const change of one.writes) {
      await clusterWrites(one, change);
      const shown = await read(one);
      t.is(shown.Version.Index, Version.Index, `${one.kind}: the version that clients see stays`);
      t.false('ClientVersion' in shown);
    }
    t.true(api.node.store.get(one.kind, one.id)!.Version.Index > Version.Index);
    const reply = await post(one, Version.Index, { ...Spec, Labels: { by: 'a client' } });
    t.is(reply.status, 200, `${one.kind}: ${reply.text}`);
    t.like(api.node.store.get(one.kind, one.id), { ...one.writes.at(-1) }, 'nothing is lost');
    t.true((await read(one)).Version.Index > Version.Index);
  }
});

test('lists show the same version as an inspection', async (t) => {
  const { api, read, clusterWrites, all } = await world(t);
  for (const one of all.filter(({ kind }) => kind !== 'cluster')) {
    await clusterWrites(one, one.writes[0]!);
    const list = (await api.call('GET', `/${one.kind}s`)).json as { ID: string; Version: object }[];
    const listed = list.find(({ ID }) => ID === one.id);
    t.deepEqual(listed?.Version, (await read(one)).Version);
    t.false('ClientVersion' in listed!);
  }
  const { Swarm } = (await api.call('GET', '/info')).json;
  const cluster = all.find(({ kind }) => kind === 'cluster')!;
  await clusterWrites(cluster, cluster.writes[0]!);
  t.deepEqual((await api.call('GET', '/info')).json.Swarm.Cluster.Version, Swarm.Cluster.Version);
});

test('of two clients that read and then write, the second is refused, also after the cluster wrote', async (t) => {
  const { api, read, post, clusterWrites, all } = await world(t);
  const { store } = api.node;
  for (const one of all) {
    const first = await read(one);
    const second = await read(one);
    await clusterWrites(one, one.writes[0]!);
    t.is((await post(one, first.Version.Index, first.Spec)).status, 200);
    await clusterWrites(one, one.writes[1]!);
    const refused = await post(one, second.Version.Index, second.Spec);
    t.is(refused.message, OUT_OF_SEQUENCE, one.kind);
    const again = await read(one);
    t.is((await post(one, again.Version.Index, again.Spec)).status, 200);
    // The number that the store itself goes by is not one that a client has read.
    await clusterWrites(one, one.writes[0]!);
    const { Index } = store.get(one.kind, one.id)!.Version;
    t.is((await post(one, Index, again.Spec)).message, OUT_OF_SEQUENCE);
  }
});

test('a write of the cluster that is on its way does not make a post stale, another client’s does', async (t) => {
  const { api, read, post, clusterWrites, all } = await world(t);
  const { store } = api.node;
  for (const one of all) {
    const { Version, Spec } = await read(one);
    store.pause();
    const ours = clusterWrites(one, one.writes[0]!);
    const posted = post(one, Version.Index, { ...Spec, Labels: { n: '1' } });
    const also = post(one, Version.Index, { ...Spec, Labels: { n: '2' } });
    while (store.waiting < 3) await setImmediate();
    store.resume();
    await ours;
    const replies = await Promise.all([posted, also]);
    t.deepEqual(
      replies.map(({ status }) => status).sort(),
      [200, 500],
      `${one.kind}: ${replies.map(({ text }) => text).join('; ')}`,
    );
    t.is(replies.find(({ status }) => status === 500)?.message, OUT_OF_SEQUENCE);
  }
});
