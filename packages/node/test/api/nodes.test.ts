import { PROGRAM } from '@swarm/api';
import { until } from '@swarm/sim';
import test from 'ava';
import type { ApiLimits } from '@swarm/manager';
import { nodeDraft, patch, put, serviceDraft, taskDraft } from '@swarm/manager/testing';
import type { Running } from './support/fake-node.js';
import { start } from './support/fake-node.js';

async function withWorkers(t: { teardown(end: () => Promise<void>): void }): Promise<Running> {
  const api = await start({ nodeId: 'manager1' });
  t.teardown(() => api.close());
  for (const id of ['worker1', 'worker2']) await put(api.node.store, 'node', nodeDraft(id));
  return api;
}

test('a node has Docker’s shape, a computed manager status and nothing private', async (t) => {
  const api = await withWorkers(t);
  const nodes = (await api.call('GET', '/v1.50/nodes')).json;
  t.is(nodes.length, 3);
  const [manager] = nodes;
  t.deepEqual(manager.ManagerStatus, {
    Leader: true,
    Reachability: 'reachable',
    Addr: '198.18.0.1:2377',
  });
  for (const field of [
    'ID',
    'Version',
    'CreatedAt',
    'UpdatedAt',
    'Spec',
    'Description',
    'Status',
  ]) {
    t.true(field in manager, field);
  }
  t.is(manager.RaftID, undefined);
  t.false('ManagerStatus' in nodes[1]);
  t.is((await api.call('GET', '/nodes/self')).json.ID, 'manager1');
  t.is((await api.call('GET', '/nodes/manager')).json.ID, 'manager1');
});

async function update(api: Running, id: string, spec: object) {
  const { Version: version, Spec: present } = (await api.call('GET', `/nodes/${id}`)).json;
  return api.call('POST', `/nodes/${id}/update?version=${version.Index}`, {
    json: { ...present, ...spec },
  });
}

test('a node whose program is too old for the cluster is not promoted', async (t) => {
  const api = await withWorkers(t);
  const { store } = api.node;
  const { Newest } = PROGRAM.FeatureLevel;
  const runs = (id: string, level: number) =>
    patch(store, 'node', id, (node) => {
      const Program = { ...PROGRAM, FeatureLevel: { Oldest: 1, Newest: level } };
      return { ...node, Description: { ...node.Description!, Program } };
    });
  await runs('worker1', Newest - 1);
  await runs('worker2', Newest);
  const refused = await update(api, 'worker1', { Role: 'manager' });
  t.is(refused.status, 400);
  t.regex(refused.message, /and node worker1 runs swarm .*: upgrade node worker1 first/);
  t.is((await update(api, 'worker2', { Role: 'manager' })).status, 200);
});

test('availability and labels are updated as a whole spec', async (t) => {
  const api = await withWorkers(t);
  const reply = await update(api, 'worker1', { Availability: 'drain', Labels: { zone: 'a' } });
  t.is(reply.status, 200);
  t.deepEqual(api.node.store.get('node', 'worker1')?.Spec, {
    Labels: { zone: 'a' },
    Role: 'worker',
    Availability: 'drain',
  });
  const bad = await update(api, 'worker1', { Availability: 'lazy' });
  t.is(bad.status, 400);
  t.regex(bad.message, /^Availability: "lazy" is unknown; use one of active, pause, drain/);
  const half = await api.call('POST', '/nodes/worker1/update?version=1', { json: {} });
  t.is(half.status, 400);
});

test('the last manager cannot be demoted', async (t) => {
  const api = await withWorkers(t);
  const reply = await update(api, 'manager1', { Role: 'worker' });
  t.is(reply.status, 400);
  t.regex(reply.message, /^attempting to demote the last manager of the swarm/);
});

test('a demotion that would lose the quorum is refused', async (t) => {
  const api = await withWorkers(t);
  for (const [id, reachability] of [
    ['worker1', 'reachable'],
    ['worker2', 'unreachable'],
  ] as const) {
    await patch(api.node.store, 'node', id, (node) => ({
      ...node,
      Role: 'manager',
      Spec: { ...node.Spec, Role: 'manager' },
    }));
    api.node.others.push({ nodeId: id, address: `${id}:2377`, reachability, leader: false });
  }
  const lost = await update(api, 'worker1', { Role: 'worker' });
  t.is(lost.status, 400);
  t.regex(lost.message, /would result in a loss of quorum \(1 of the 2 /);
  // Without the one that is down, two of two remain.
  t.is((await update(api, 'worker2', { Role: 'worker' })).status, 200);
});

test('managers and nodes that are up are not removed', async (t) => {
  const api = await withWorkers(t);
  const manager = await api.call('DELETE', '/nodes/manager1?force=1');
  t.is(manager.status, 400);
  t.regex(manager.message, /must be demoted to worker before removal/);
  const ready = await api.call('DELETE', '/nodes/worker1');
  t.is(ready.status, 400);
  t.regex(ready.message, /is not down and can't be removed/);
});

/** Two workers, of which the first is down and was demoted, and is a member still. */
async function withLeaving(
  t: { teardown(end: () => Promise<void>): void },
  limits?: Partial<ApiLimits>,
): Promise<Running> {
  const api = await start({ nodeId: 'manager1', ...(limits === undefined ? {} : { limits }) });
  t.teardown(() => api.close());
  const Status = { State: 'down', Message: 'heartbeat failure', Addr: '198.18.0.2' } as const;
  await put(api.node.store, 'node', nodeDraft('worker1', { Role: 'manager', Status }));
  const member = {
    address: '198.18.0.2:2377',
    reachability: 'unreachable',
    leader: false,
  } as const;
  api.node.others.push({ nodeId: 'worker1', ...member });
  return api;
}

test('a node that was demoted is removed once it has left the managers', async (t) => {
  const api = await withLeaving(t);
  const before = api.node.membersAsked;
  const removed = api.call('DELETE', '/nodes/worker1');
  await until('it has looked many times', () => api.node.membersAsked > before + 10);
  t.not(api.node.store.get('node', 'worker1'), undefined);
  api.node.others.length = 0;
  t.is((await removed).status, 200);
  t.is(api.node.store.get('node', 'worker1'), undefined);
});

test('a node that cannot leave the managers is not removed, and the refusal says why and what to wait for', async (t) => {
  const api = await withLeaving(t, { departureMs: 50 });
  api.node.roleNotes.set('worker1', "can't remove member from the raft");
  const refused = await api.call('DELETE', '/nodes/worker1?force=1');
  t.is(refused.status, 400);
  t.regex(
    refused.message,
    /^node worker1 was demoted and has not left the managers yet \(can't remove .*\): try again when its MANAGER STATUS in "docker node ls" is empty$/,
  );
  const shown = (await api.call('GET', '/nodes/worker1')).json;
  t.is(
    shown.Status.Message,
    "heartbeat failure; being demoted: it cannot leave the managers yet (can't remove member from the raft)",
  );
});

test('a member that is still joining is no manager yet: it says so, may be demoted, and saves no last manager', async (t) => {
  const api = await withWorkers(t);
  await patch(api.node.store, 'node', 'worker1', (node) => ({
    ...node,
    Role: 'manager',
    Spec: { ...node.Spec, Role: 'manager' },
  }));
  const member = { address: 'worker1:2377', reachability: 'reachable', leader: false } as const;
  api.node.others.push({ nodeId: 'worker1', ...member, learner: true });
  const shown = (await api.call('GET', '/nodes/worker1')).json;
  t.is(shown.ManagerStatus, undefined);
  t.is(shown.Status.Message, "being promoted: it copies the managers' state");
  api.node.others.length = 0;
  const removal = await api.call('DELETE', '/nodes/worker1?force=1');
  t.regex(removal.message, /^node worker1 is being promoted to a manager: run "docker node demote/);
  api.node.others.push({ nodeId: 'worker1', ...member, learner: true });
  const last = await update(api, 'manager1', { Role: 'worker' });
  t.is(last.status, 400);
  t.regex(
    last.message,
    /^attempting to demote the last manager of the swarm; node worker1 is still/,
  );
  t.is((await update(api, 'worker1', { Role: 'worker' })).status, 200);
});

test('a node is removed by force, and its certificate is refused', async (t) => {
  const api = await withWorkers(t);
  t.is((await api.call('DELETE', '/nodes/worker1?force=true')).status, 200);
  t.is(api.node.store.get('node', 'worker1'), undefined);
  t.true(
    Date.parse(api.node.store.get('removed-node', 'worker1')!.Until) >
      Date.now() + 90 * 24 * 3600 * 1000,
  );
});

test('nodes are filtered by role, name and both kinds of label', async (t) => {
  const api = await withWorkers(t);
  await update(api, 'worker2', { Labels: { disk: 'ssd' } });
  const ids = async (filters: object): Promise<string[]> => {
    const query = encodeURIComponent(JSON.stringify(filters));
    return (await api.call('GET', `/nodes?filters=${query}`)).json.map(
      (node: { ID: string }) => node.ID,
    );
  };
  t.deepEqual(await ids({ role: ['manager'] }), ['manager1']);
  t.deepEqual(await ids({ name: { work: true } }), ['worker1', 'worker2']);
  t.deepEqual(await ids({ 'node.label': ['disk=ssd'] }), ['worker2']);
  t.deepEqual(await ids({ label: ['disk=ssd'] }), []);
  t.deepEqual(await ids({ membership: ['pending'] }), []);
});

test('a label that no constraint could match is refused with the rule, one that is there stays', async (t) => {
  const api = await withWorkers(t);
  const labels = (Labels: object) => update(api, 'worker1', { Labels });
  for (const Labels of [
    { 'topology.k8s.io/zone': 'a', mail: 'a@b', z: 'eu,west', e: '', x: 'a==b' },
    { grün: 'ja' },
  ])
    t.is((await labels(Labels)).status, 200);
  for (const [Labels, rule] of [
    [{ 'a b': 'c' }, /the label "a b=c": a name .* must not have blanks/],
    [{ '': 'c' }, /a name must not be empty/],
    [{ 'a!': 'c' }, /"!"/],
    [{ a: ' c' }, /a value must not begin or end with a blank/],
    [{ a: 'b\nc' }, /control characters/],
  ] as const) {
    const refused = await labels(Labels);
    t.is(refused.status, 400);
    t.regex(refused.message, rule);
  }
  await patch(api.node.store, 'node', 'worker1', (node) => ({
    ...node,
    Spec: { ...node.Spec, Labels: { 'of old': 'times ' } },
  }));
  t.is((await update(api, 'worker1', { Availability: 'drain' })).status, 200);
  t.is((await labels({ 'of old': 'times ', more: 'x' })).status, 200);
});

test('a port that a node does not serve is said of the node, of the service and of its task there', async (t) => {
  const api = await withWorkers(t);
  const { store } = api.node;
  const port = {
    Protocol: 'tcp',
    TargetPort: 80,
    PublishedPort: 8080,
    PublishMode: 'ingress',
  } as const;
  const Endpoint = { Spec: {}, Ports: [port] };
  await put(store, 'service', serviceDraft('web', { Endpoint }));
  for (const id of ['worker1', 'worker2']) {
    await put(store, 'task', {
      ...taskDraft(`on-${id}`, { ServiceID: 'web', NodeID: id, Endpoint: { Ports: [port] } }),
      Status: { Timestamp: '2026-01-01T00:00:00.000Z', State: 'running', Message: 'running' },
    });
  }
  const get = async (path: string) => (await api.call('GET', path)).json;
  t.false('PortConflicts' in (await get('/services/web')));
  const conflict = {
    Protocol: 'tcp',
    PublishedPort: 8080,
    Reason: 'nginx (pid 8) listens on it',
  } as const;
  await patch(store, 'node', 'worker1', (node) => ({
    ...node,
    Description: { ...node.Description!, PortConflicts: [conflict] },
  }));
  const sentence = (where: string) =>
    `port 8080/tcp is not served ${where}: nginx (pid 8) listens on it`;
  t.is((await get('/nodes/worker1')).Status.Message, sentence('here'));
  t.is((await get('/nodes/worker2')).Status.Message, undefined);
  const shown = [{ NodeID: 'worker1', Hostname: 'worker1', ...conflict }];
  t.deepEqual((await get('/services/web')).PortConflicts, shown);
  t.deepEqual((await get('/services'))[0].PortConflicts, shown);
  t.is((await get('/tasks/on-worker1')).Status.Err, sentence('on this node'));
  t.is((await get('/tasks/on-worker2')).Status.Err, undefined);
  t.is(store.get('task', 'on-worker1')?.Status.Err, undefined, 'it is shown, not stored');
  // A node that is down serves nothing anyway.
  await patch(store, 'node', 'worker1', (node) => ({
    ...node,
    Status: { ...node.Status, State: 'down', Message: 'heartbeat failure' },
  }));
  t.false('PortConflicts' in (await get('/services/web')));
  t.is((await get('/nodes/worker1')).Status.Message, 'heartbeat failure');
});

test('a path that a node finds blocked is said of it, with what to open', async (t) => {
  const api = await withWorkers(t);
  const { store } = api.node;
  const blocks = (id: string, index: number, other: string) =>
    patch(store, 'node', id, (node) => ({
      ...node,
      Description: {
        ...node.Description!,
        Paths: { Problems: [{ NodeID: other, Kind: 'blocked', Since: '2026-01-01T00:00:00Z' }] },
      },
      Mesh: { Index: index, Address: `198.18.0.1${index}`, Subnet: `10.240.${index}.0/24` },
    }));
  await blocks('worker1', 4, 'worker2');
  await blocks('worker2', 5, 'manager9');
  const messages = (await api.call('GET', '/nodes')).json.map(
    ({ Status }: { Status: { Message?: string } }) => Status.Message,
  );
  t.deepEqual(messages, [
    undefined,
    'does not reach worker2 through the tunnel: let 4789/udp pass between 198.18.0.14 and 198.18.0.15',
    undefined,
  ]);
  t.is(store.get('node', 'worker1')?.Status.Message, undefined, 'it is shown, not stored');
  await blocks('manager1', 6, 'worker1');
  t.true(
    (await api.call('GET', '/info')).json.Swarm.Warnings.includes(
      'WARNING: this node: does not reach worker1 through the tunnel: let 4789/udp pass between 198.18.0.16 and 198.18.0.14',
    ),
  );
});
