import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { silentLogger, systemClock } from '@swarm/api';
import { MemoryNetwork, MemoryStorage, RaftNode, systemClock as raftClock } from '@swarm/raft';
import test from 'ava';
import { backupFile, checkBackup } from '@swarm/manager/recovery';
import { checkForce } from '@swarm/manager/recovery';
import type { RestoreRequest } from '../../src/api/node-control.js';
import { demoteOthers } from '@swarm/manager/recovery';
import { Codec } from '@swarm/manager/testing';
import { StoreStateMachine } from '@swarm/manager/assembly';
import { call } from './support/client.js';
import { type Running, start } from './support/fake-node.js';
import { clusterDraft, nodeDraft, put } from '@swarm/manager/testing';
import { createTestStore } from '@swarm/manager/testing';

const CLUSTER_ID = 'cluster-1';

interface World {
  readonly api: Running;
  readonly raft: RaftNode;
  readonly folder: string;
}

/** An API server whose manager is a real Raft member, alone, with a state on disk. */
async function use(body: (world: World) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-routes-'));
  const api = await start({ clusterId: CLUSTER_ID });
  const clock = systemClock();
  const state = await StoreStateMachine.open({
    folder: join(folder, 'state'),
    clock,
    logger: silentLogger,
  });
  const self = { id: 7, address: '198.18.0.1:2377', nodeId: api.node.nodeId };
  const raft = await RaftNode.open({
    id: self.id,
    members: [self],
    storage: new MemoryStorage(),
    transport: new MemoryNetwork().join(self.id),
    stateMachine: state,
    clock: raftClock(),
    random: Math.random,
  });
  try {
    await raft.readIndex();
    const cluster = clusterDraft(CLUSTER_ID);
    const change = { action: 'create', kind: 'cluster', body: cluster } as const;
    await raft.propose(new Codec().encodeCommand({ timeMs: 1, changes: [change] }));
    const agents = { labels: { class: 'agent' }, value: 3 };
    const portMetrics = () => [
      {
        kind: 'gauge',
        name: 'swarm_port_connections',
        help: 'By class.',
        values: [agents],
      } as const,
    ];
    Object.assign(api.node.access, { raft, portMetrics });
    await body({ api, raft, folder });
  } finally {
    await raft.stop();
    await state.close();
    await api.close();
    await rm(folder, { recursive: true });
  }
}

test('the local socket serves a complete backup', async (t) => {
  await use(async ({ api, raft, folder }) => {
    const reply = await api.call('GET', '/x/backup');
    t.is(reply.status, 200);
    const file = join(folder, 'backup');
    await writeFile(file, reply.body);
    const { header, objects } = await checkBackup(backupFile(file));
    t.is(header.clusterId, CLUSTER_ID);
    t.is(header.index, raft.status().applied);
    t.is(Number(reply.headers['x-swarm-index']), header.index);
    t.deepEqual(header.members, [
      { raftId: 7, nodeId: api.node.nodeId, address: '198.18.0.1:2377' },
    ]);
    t.is(objects, 1);
  });
});

test('without a quorum only a stale backup is available', async (t) => {
  await use(async ({ api }) => {
    api.node.quorumState = { state: 'lost', since: 0 };
    const refused = await api.call('GET', '/x/backup');
    t.is(refused.status, 503);
    t.is(refused.headers['x-swarm-error-code'], 'NO_QUORUM');
    t.is((await api.call('GET', '/x/backup?stale=1')).status, 200);
  });
});

test('other nodes of any kind get neither backups nor status', async (t) => {
  await use(async ({ api }) => {
    const peer = await api.listenAs('another');
    for (const [method, path] of [
      ['GET', '/x/backup'],
      ['GET', '/x/raft/status'],
      ['GET', '/x/metrics'],
      ['POST', '/x/restore'],
    ] as const) {
      const reply = await call(peer, method, path);
      t.is(reply.status, 403, path);
    }
  });
});

test('status and metrics are those of the Raft member and of the port', async (t) => {
  await use(async ({ api, raft }) => {
    const { json } = await api.call('GET', '/x/raft/status');
    t.like(json, { clusterId: CLUSTER_ID, id: 7, role: 'leader', commit: raft.status().commit });
    const metrics = await api.call('GET', '/x/metrics');
    t.is(metrics.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    t.regex(metrics.text, /^swarm_raft_is_leader 1$/m);
    t.regex(metrics.text, /^swarm_port_connections\{class="agent"\} 3$/m);
    t.is((await api.call('POST', '/x/metrics')).status, 405);
  });
});

test('a worker has no Raft status', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  for (const path of ['/x/backup', '/x/raft/status', '/x/metrics'])
    t.is((await api.call('GET', path)).status, 503, path);
});

test('a restore passes on the bytes and the addresses', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  t.is((await api.call('POST', '/x/restore')).status, 501);
  let asked: RestoreRequest | undefined;
  let received = '';
  const recovery = {
    restore: async (request: RestoreRequest) => {
      asked = request;
      received = (await buffer(request.backup)).toString();
      return 'node-9';
    },
  };
  Object.assign(api.node, { recovery });
  const path = '/x/restore?listenAddr=a&advertiseAddr=b&dataPathAddr=c';
  const reply = await api.call('POST', path, { raw: 'the bytes' });
  t.is(reply.json, 'node-9');
  t.is(received, 'the bytes');
  t.like(asked, { listenAddr: 'a', advertiseAddr: 'b', dataPathAddr: 'c' });
});

test('a new cluster is forced only without a quorum, or for a single manager', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const clock = systemClock();
  await checkForce(api.node.manager()!, clock);
  api.node.others = [
    { nodeId: 'b', address: '198.18.0.2:2377', reachability: 'reachable', leader: false },
  ];
  await t.throwsAsync(checkForce(api.node.manager()!, clock), { code: 'FAILED_PRECONDITION' });
  const lost = async () => {
    throw new Error('no leader');
  };
  const cut = { ...api.node.manager()!, readBarrier: lost };
  await t.notThrowsAsync(checkForce(cut, clock));
  // The others are well: this manager was removed from their group and does not know it.
  const leader = { nodeId: 'b', address: '198.18.0.2:2377' };
  await t.throwsAsync(checkForce({ ...cut, findLeader: async () => leader }, clock), {
    code: 'FAILED_PRECONDITION',
    message: /the other managers have a leader, node b at 198\.18\.0\.2:2377/,
  });
  // With a wrong clock nobody can know whether the others are well.
  const apart = { ...cut, findLeader: async () => undefined, timeProblem: () => '200 days apart.' };
  await t.throwsAsync(checkForce(apart, clock), {
    code: 'FAILED_PRECONDITION',
    message: /200 days apart\. If that manager should be left behind, stop its daemon/,
  });
});

test('forcing a new cluster makes the other managers workers, even if nodes change meanwhile', async (t) => {
  const store = createTestStore({ clock: systemClock() });
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    const Spec = { Labels: {}, Role: 'manager', Availability: 'active' } as const;
    await put(store, 'node', nodeDraft(id, { Spec, RaftID: i + 1, ManagerAddr: `${id}:1` }));
  }
  await put(store, 'node', nodeDraft('w'));
  store.pause();
  // What the leader's loops do between the read and the write of the nodes.
  const other = store.transact((transaction) =>
    transaction.update('node', {
      ...transaction.get('node', 'b')!,
      Status: { State: 'down', Addr: '' },
    }),
  );
  const demoted = demoteOthers(store, 'c');
  store.resume();
  await Promise.all([other, demoted]);
  t.deepEqual(
    [...store.list('node')].map(({ ID, Spec, RaftID }) => [ID, Spec.Role, RaftID]),
    [
      ['a', 'worker', undefined],
      ['b', 'worker', undefined],
      ['c', 'manager', 3],
      ['w', 'worker', undefined],
    ],
  );
  t.is(store.get('node', 'b')!.Status.State, 'down');
});
