import test from 'ava';
import { until } from '@swarm/sim';
import { call } from './support/client.js';
import { serviceBody, start } from './support/fake-node.js';

test('ping answers GET and HEAD with the headers that stock clients read', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  for (const method of ['GET', 'HEAD']) {
    const reply = await api.call(method, '/_ping');
    t.is(reply.status, 200);
    t.is(reply.text, method === 'GET' ? 'OK' : '');
    t.like(reply.headers, {
      'api-version': '1.50',
      ostype: 'linux',
      'docker-experimental': 'false',
      swarm: 'active/manager',
      'cache-control': 'no-cache, no-store, must-revalidate',
    });
    t.regex(String(reply.headers.server), /^Swarm\/1\.2\.3/);
  }
});

test('outside a cluster the API says so, and what to do', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  t.is((await api.call('GET', '/_ping')).headers.swarm, 'inactive');
  for (const path of ['/nodes', '/services', '/swarm', '/tasks']) {
    const reply = await api.call('GET', path);
    t.is(reply.status, 503, path);
    t.is(reply.headers['x-swarm-error-code'], 'NOT_IN_SWARM');
    t.regex(reply.message, /^This node is not a swarm manager\. Use "docker swarm init"/);
  }
  const info = (await api.call('GET', '/info')).json;
  t.deepEqual(info.Swarm, {
    NodeID: '',
    NodeAddr: '',
    LocalNodeState: 'inactive',
    ControlAvailable: false,
    Error: '',
    RemoteManagers: null,
    Version: '1.2.3',
  });
  t.is((await api.call('POST', '/swarm/leave')).status, 503);
});

test('init, inspect, and init again', async (t) => {
  const api = await start({ manager: false });
  t.teardown(() => api.close());
  const json = { ListenAddr: '0.0.0.0:2377', Spec: { Labels: null, Orchestration: {}, Raft: {} } };
  const reply = await api.call('POST', '/v1.50/swarm/init', { json });
  t.is(reply.status, 200);
  t.is(reply.json, api.node.nodeId);
  const swarm = (await api.call('GET', '/v1.50/swarm')).json;
  t.deepEqual(Object.keys(swarm), [
    'ID',
    'Version',
    'CreatedAt',
    'UpdatedAt',
    'Spec',
    'TLSInfo',
    'RootRotationInProgress',
    'DefaultAddrPool',
    'SubnetSize',
    'DataPathPort',
    'JoinTokens',
  ]);
  t.is(swarm.Spec.Dispatcher.HeartbeatPeriod, 1e9);
  t.is(swarm.Spec.Orchestration.TaskHistoryRetentionLimit, 5);
  t.deepEqual(Object.keys(swarm.Spec), [
    'Name',
    'Labels',
    'Orchestration',
    'Raft',
    'Dispatcher',
    'CAConfig',
    'TaskDefaults',
    'EncryptionConfig',
    'HostPrivileges',
  ]);
  const again = await api.call('POST', '/swarm/init', { json });
  t.is(again.status, 503);
  t.is(again.headers['x-swarm-error-code'], 'ALREADY_IN_SWARM');
});

test('the API shows neither the cluster’s private key nor, in info, join tokens', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  for (const path of ['/swarm', '/info', '/nodes']) {
    t.false((await api.call('GET', path)).text.includes('top secret'), path);
  }
  const info = await api.call('GET', '/info');
  t.false(info.text.includes('SWMTKN'));
  t.is(info.json.Swarm.Cluster.ID, api.node.store.cluster()?.ID);
  t.is(info.json.Swarm.Managers, 1);
});

test('an update rotates join tokens one at a time, and changes the spec', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const before = (await api.call('GET', '/swarm')).json;
  const path = `/swarm/update?version=${before.Version.Index}&rotateWorkerToken=true&rotateManagerToken=false`;
  const json = { ...before.Spec, Orchestration: { TaskHistoryRetentionLimit: 2 } };
  t.is((await api.call('POST', path, { json })).status, 200);
  const after = (await api.call('GET', '/swarm')).json;
  t.regex(after.JoinTokens.Worker, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
  t.is(after.JoinTokens.Manager, before.JoinTokens.Manager);
  t.is(after.Spec.Orchestration.TaskHistoryRetentionLimit, 2);
  t.is((await api.call('POST', path, { json })).message, 'update out of sequence');
});

test('autolock, another name and a too short certificate expiry are refused', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const { Version: version } = (await api.call('GET', '/swarm')).json;
  const path = `/swarm/update?version=${version.Index}`;
  const lock = await api.call('POST', path, {
    json: { Name: 'default', EncryptionConfig: { AutoLockManagers: true } },
  });
  t.is(lock.status, 501);
  t.is((await api.call('POST', path, { json: { Name: 'mine' } })).status, 400);
  const expiry = await api.call('POST', path, { json: { CAConfig: { NodeCertExpiry: 60e9 } } });
  t.regex(expiry.message, /minimum certificate expiry time must be 1h0m0s/);
  t.is((await api.call('GET', '/swarm/unlockkey')).status, 501);
  t.is((await api.call('POST', '/swarm/unlock', { json: {} })).status, 501);
});

test('join passes on the request; it stops waiting without stopping the join', async (t) => {
  const api = await start({ manager: false, limits: { joinMs: 50 } });
  t.teardown(() => api.close());
  const json = { RemoteAddrs: ['198.18.0.9:2377'], JoinToken: 'SWMTKN-1-x', Availability: '' };
  t.is((await api.call('POST', '/swarm/join', { json: { JoinToken: 'x' } })).status, 400);
  api.node.joinNeverEnds = true;
  const slow = await api.call('POST', '/swarm/join', { json });
  t.is(slow.status, 503);
  t.regex(slow.message, /^Timeout was reached before node joined/);
  api.node.joinNeverEnds = false;
  t.is((await api.call('POST', '/swarm/join', { json })).status, 200);
  t.like(api.node.joins.at(-1), { joinToken: 'SWMTKN-1-x', availability: 'active' });
  t.is((await api.call('GET', '/_ping')).headers.swarm, 'active/worker');
  t.regex((await api.call('GET', '/nodes')).message, /Worker nodes can't be used/);
  t.is((await api.call('POST', '/swarm/join', { json })).status, 503);
});

test('addresses are changed on the node itself, and something must be given', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const path = '/x/reconnect';
  const json = { RemoteAddrs: ['192.0.2.9'], AdvertiseAddr: 'eth0' };
  t.is((await api.call('POST', path, { json })).status, 501);
  const asked: object[] = [];
  Object.assign(api.node, { reconnect: async (request: object) => void asked.push(request) });
  t.is((await api.call('POST', path, { json })).status, 200);
  t.deepEqual(asked, [
    { listenAddr: '', advertiseAddr: 'eth0', dataPathAddr: '', remoteAddrs: ['192.0.2.9'] },
  ]);
  const many = Array<string>(65).fill('192.0.2.9');
  for (const bad of [{}, { RemoteAddrs: [''] }, { RemoteAddrs: [7] }, { RemoteAddrs: many }])
    t.is((await api.call('POST', path, { json: bad })).status, 400, JSON.stringify(bad));
  t.is(asked.length, 1);
});

test('a manager leaves only by force', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const refused = await api.call('POST', '/swarm/leave');
  t.is(refused.status, 503);
  t.regex(refused.message, /Removing the last manager erases all current state/);
  // Of a manager that the others go on without, as a copy of another's folder.
  api.node.otherLeader = { nodeId: 'other', address: '198.18.0.8:2377' };
  const outside = await api.call('POST', '/swarm/leave');
  api.node.otherLeader = undefined;
  t.regex(outside.message, /have a leader, node other at 198\.18\.0\.8:2377.*leave --force/);
  t.notRegex(outside.message, /force-new-cluster|[Dd]emote/);
  t.deepEqual(api.node.leaves, []);
  t.is((await api.call('POST', '/swarm/leave?force=1')).status, 200);
  t.deepEqual(api.node.leaves, [true]);
});

test('without a quorum reads and writes fail in time and say who is missing', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  api.node.quorumState = { state: 'lost', since: Date.now() };
  api.node.others = [
    { nodeId: 'gone', address: '198.18.0.7:2377', reachability: 'unreachable', leader: false },
  ];
  for (const [method, path] of [
    ['GET', '/services'],
    ['POST', '/services/create'],
    ['DELETE', '/nodes/x'],
  ] as const) {
    const start = performance.now();
    const reply = await api.call(
      method,
      path,
      method === 'POST' ? { json: serviceBody('web') } : {},
    );
    t.is(reply.status, 503, path);
    t.is(reply.headers['x-swarm-error-code'], 'NO_QUORUM');
    t.regex(
      reply.message,
      /^The swarm does not have a leader\. It's possible that too few managers/,
    );
    t.regex(reply.message, /gone \(198\.18\.0\.7:2377\).*--force-new-cluster/);
    // Nobody is advised to leave a cluster behind that is well.
    api.node.otherLeader = { nodeId: 'other', address: '198.18.0.8:2377' };
    const outside = await api.call(
      method,
      path,
      method === 'POST' ? { json: serviceBody('web') } : {},
    );
    api.node.otherLeader = undefined;
    t.is(outside.status, 503, path);
    t.regex(
      outside.message,
      /have a leader: node other at 198\.18\.0\.8:2377.*joins them again by itself/,
    );
    t.notRegex(outside.message, /force/);
    api.node.timeProblem = 'The manager at b:2377 could not be talked to: 200 days apart.';
    const apart = await api.call(
      method,
      path,
      method === 'POST' ? { json: serviceBody('web') } : {},
    );
    api.node.timeProblem = undefined;
    t.is(apart.status, 503, path);
    t.regex(apart.message, /does not have a leader.*200 days apart/);
    t.notRegex(apart.message, /force/);
    t.true(performance.now() - start < 2000);
  }
  t.is((await api.call('GET', '/info')).status, 200);
});

test('what waits for a leader is turned away at once when the manager stops', async (t) => {
  const api = await start({ limits: { leaderMs: 60_000, writeMs: 60_000, closeMs: 60_000 } });
  t.teardown(() => api.close());
  api.node.quorumState = { state: 'lost', since: Date.now() };
  const peer = await api.listenAs('m2');
  const waiting = [
    api.call('GET', '/services'),
    api.call('POST', '/services/create', { json: serviceBody('web') }),
    call(peer, 'POST', '/services/create', {
      json: serviceBody('other'),
      headers: { 'x-swarm-forwarded-by': 'm2' },
    }),
  ];
  await api.call('GET', '/_ping');
  api.server.serveManager(undefined);
  for (const reply of await Promise.all(waiting)) {
    t.is(reply.status, 503);
    t.is(reply.headers['x-swarm-error-code'], 'NO_QUORUM');
  }
});

test('a request that meets an election waits for the new leader', async (t) => {
  const api = await start({ limits: { leaderMs: 3000 } });
  t.teardown(() => api.close());
  api.node.quorumState = { state: 'lost', since: Date.now() };
  const reply = api.call('POST', '/services/create', { json: serviceBody('web') });
  await api.call('GET', '/_ping');
  api.node.quorumState = { state: 'ok' };
  t.is((await reply).status, 201);
});

test('a change that a new leader dropped is made again, and not reported as a lost quorum', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const dropped = Object.assign(new Error('x'), { code: 'RAFT_PROPOSAL_DROPPED' });
  api.node.store.failNext(dropped);
  const again = await api.call('POST', '/services/create', { json: serviceBody('again') });
  t.is(again.status, 201);
  for (let times = 0; times < 20; times += 1) api.node.store.failNext(dropped);
  const reply = await api.call('POST', '/services/create', { json: serviceBody('dropped') });
  t.is(reply.status, 503);
  t.is(reply.headers['x-swarm-error-code'], 'NO_QUORUM');
  t.is(reply.message, 'the change was not made because the leader is changing: try again');
});

test('a follower forwards writes to the leader, and answers reads itself', async (t) => {
  const leader = await start();
  const follower = await start();
  t.teardown(() => leader.close());
  t.teardown(() => follower.close());
  follower.node.leads = false;
  follower.node.others = [
    { nodeId: leader.node.nodeId, address: 'x:2377', reachability: 'reachable', leader: true },
  ];
  follower.node.leaderSocket = await leader.listenAs(follower.node.nodeId);
  const reply = await follower.call('POST', '/services/create', { json: serviceBody('web') });
  t.is(reply.status, 201);
  t.is([...leader.node.store.list('service')].length, 1);
  t.deepEqual((await follower.call('GET', '/services')).json, []);
  const taken = await follower.call('POST', '/services/create', { json: serviceBody('web') });
  t.is(taken.status, 409);
  t.is(taken.headers['x-swarm-error-code'], 'CONFLICT');
  const large = await follower.call('POST', '/services/create', { raw: Buffer.alloc(6_000_000) });
  t.is(large.status, 413);
});

test('a leader that stops is asked nothing more: the next one answers', async (t) => {
  const [stopping, next] = [await start({ manager: false }), await start()];
  const follower = await start({ limits: { leaderMs: 10_000 } });
  for (const api of [stopping, next, follower]) t.teardown(() => api.close());
  follower.node.leads = false;
  follower.node.others = [
    { nodeId: next.node.nodeId, address: 'x:2377', reachability: 'reachable', leader: true },
  ];
  const nextSocket = await next.listenAs(follower.node.nodeId);
  follower.node.leaderSocket = await stopping.listenAs(follower.node.nodeId);
  const reply = follower.call('POST', '/services/create', { json: serviceBody('web') });
  await until('the request is turned away', () => follower.node.turnedAway > 0);
  follower.node.leaderSocket = nextSocket;
  t.is((await reply).status, 201);
  t.is([...next.node.store.list('service')].length, 1);
});

test('a follower that comes to lead meanwhile answers what it has read already', async (t) => {
  const stopping = await start({ manager: false });
  const follower = await start({ limits: { leaderMs: 10_000 } });
  for (const api of [stopping, follower]) t.teardown(() => api.close());
  follower.node.leads = false;
  follower.node.leaderSocket = await stopping.listenAs(follower.node.nodeId);
  const reply = follower.call('POST', '/services/create', { json: serviceBody('web') });
  await until('the request is turned away', () => follower.node.turnedAway > 0);
  follower.node.leads = true;
  const { status, text } = await reply;
  t.is(status, 201, text);
});

test('a forwarded request is not forwarded again', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const peer = await api.listenAs('other');
  api.node.leads = false;
  api.node.leaderSocket = peer;
  api.node.others = [{ nodeId: 'x', address: 'x:1', reachability: 'reachable', leader: true }];
  const reply = await api.call('DELETE', '/services/web');
  t.is(reply.status, 503);
  t.is(reply.headers['x-swarm-error-code'], 'NO_QUORUM');
});

test('self in a forwarded request is the node that forwarded it', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const peer = await api.listenAs('follower1');
  const headers = { 'x-swarm-forwarded-by': 'follower1' };
  const reply = await call(peer, 'DELETE', '/nodes/self', { headers });
  t.is(reply.message, 'node follower1 not found');
});

test('events come for changes, by filter, and end at until', async (t) => {
  const api = await start();
  t.teardown(() => api.close());
  const { ID: id } = (await api.call('POST', '/services/create', { json: serviceBody('web') }))
    .json;
  await api.call('DELETE', '/services/web');
  const soon = Date.now() / 1000 + 2;
  const filters = encodeURIComponent('{"type":["service"]}');
  const stream = api.call('GET', `/events?since=1&until=${soon.toFixed(3)}&filters=${filters}`);
  await until('the API answers', async () => (await api.call('GET', '/_ping')).status === 200);
  await api.call('POST', '/services/create', { json: serviceBody('late') });
  const lines = (await stream).text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    lines.map((event) => `${event.Type} ${event.Action} ${event.Actor.Attributes.name}`),
    ['service create web', 'service update web', 'service create late'],
  );
  t.is(lines[0].Actor.ID, id);
  t.is(lines[0].scope, 'swarm');
  t.is(lines[0].time, Math.floor(lines[0].timeNano / 1e9));
  t.is((await api.call('GET', '/events?until=soon')).status, 400);
});
