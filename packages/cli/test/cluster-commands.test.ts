import test from 'ava';
import { command, sent } from './support/fake-daemon.js';

const NODE = {
  ID: 'node1aaaaaaaaaaaaaaaaaaaa',
  Version: { Index: 10 },
  CreatedAt: '2026-01-01T00:00:00.000Z',
  Spec: { Labels: { a: '1' }, Role: 'manager', Availability: 'active' },
  Description: {
    Hostname: 'h1',
    Platform: { OS: 'linux', Architecture: 'x86_64' },
    Resources: { NanoCPUs: 2e9, MemoryBytes: 2 ** 30 },
    Engine: { EngineVersion: '0.1.0' },
    TLSInfo: { TrustRoot: 'root' },
  },
  Status: { State: 'ready', Addr: '192.0.2.1' },
  ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: '192.0.2.1:2377' },
};
const WORKER = {
  ...NODE,
  ID: 'node2aaaaaaaaaaaaaaaaaaaa',
  Spec: { ...NODE.Spec, Role: 'worker', Availability: 'drain' },
  Description: { ...NODE.Description, Hostname: 'h2', TLSInfo: { TrustRoot: 'older' } },
  Status: { State: 'down', Addr: '192.0.2.2' },
  ManagerStatus: undefined,
};
const CLUSTER = {
  ID: 'c1',
  Version: { Index: 7 },
  Spec: {
    Name: 'default',
    Orchestration: { TaskHistoryRetentionLimit: 5 },
    Raft: { SnapshotInterval: 10000 },
    Dispatcher: { HeartbeatPeriod: 1e9 },
    CAConfig: { NodeCertExpiry: 1 },
    EncryptionConfig: { AutoLockManagers: false },
  },
  TLSInfo: { TrustRoot: 'CERTIFICATE\n' },
  JoinTokens: { Worker: 'SWMTKN-w', Manager: 'SWMTKN-m' },
};
const INFO = {
  Name: 'h1',
  Swarm: {
    NodeID: NODE.ID,
    NodeAddr: '192.0.2.1',
    LocalNodeState: 'active',
    ControlAvailable: true,
    Error: '',
    Cluster: { TLSInfo: { TrustRoot: 'root' } },
  },
};
const NODE_BY_ID = {
  'GET /info': INFO,
  'GET /swarm': CLUSTER,
  'GET /nodes/h1': NODE,
  [`GET /nodes/${NODE.ID}`]: NODE,
  [`POST /nodes/${NODE.ID}/update`]: {},
};
const UPDATE = `/nodes/${NODE.ID}/update`;

test('node ls marks this node and says who leads', async (t) => {
  const answers = { 'GET /nodes': [WORKER, NODE], 'GET /info': INFO };
  const done = await command(t, answers, 'node', 'ls');
  t.deepEqual(done.out.split('\n'), [
    'ID                            HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION',
    'node1aaaaaaaaaaaaaaaaaaaa *   h1         Ready     Active         Leader           0.1.0',
    'node2aaaaaaaaaaaaaaaaaaaa     h2         Down      Drain                           0.1.0',
    '',
  ]);
  const json = await command(t, answers, 'node', 'ls', '--format', 'json');
  const [first, second] = json.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.like(first, { ID: NODE.ID, Self: true, TLSStatus: 'Ready' });
  t.like(second, { Self: false, TLSStatus: 'Needs Rotation' });
  t.is((await command(t, answers, 'node', 'ls', '-q')).out, `${NODE.ID}\n${WORKER.ID}\n`);
});

test('node ls has a column for what is wrong with nodes or under way, if one says so', async (t) => {
  const Message = 'heartbeat failure for node in "unknown" state';
  const down = { ...WORKER, Status: { ...WORKER.Status, State: 'down', Message } };
  const taken = 'being demoted; port 80/tcp is not served here: nginx (pid 8) listens on it';
  const ready = { ...NODE, Status: { ...NODE.Status, Message: taken } };
  const answers = { 'GET /nodes': [down, ready], 'GET /info': INFO };
  const done = await command(t, answers, 'node', 'ls');
  const [heading, first, second] = done.out.split('\n');
  t.regex(heading!, /ENGINE VERSION {3}MESSAGE$/);
  t.true(first!.endsWith(`   ${taken}`));
  t.true(second!.endsWith(`   ${Message}`));
  const format = await command(t, answers, 'node', 'ls', '--format', '{{.Status}}|{{.Message}}');
  t.is(format.out, `Ready|${taken}\nDown|${Message}\n`);
});

test('doctor names what is wrong with the way out, a path once, and exits with 1', async (t) => {
  const Since = '2026-01-01T00:00:00Z';
  const member = (node: typeof NODE, index: number, other: string, more: object = {}) => ({
    ...node,
    Status: { State: 'ready', Addr: `192.0.2.${index}`, Message: 'does not reach the other' },
    Mesh: { Index: index, Address: `198.51.100.${index}`, Subnet: `10.240.${index}.0/24` },
    Description: {
      ...node.Description,
      Paths: { Problems: [{ NodeID: other, Kind: 'blocked', Since }], ...more },
    },
  });
  const firewall = { Kind: 'ufw', Table: 'ip filter', Hooks: ['input'] };
  const third = {
    ...WORKER,
    ID: 'node3aaaaaaaaaaaaaaaaaaaa',
    Description: { ...NODE.Description, Hostname: 'h3' },
    Status: { State: 'down', Addr: '192.0.2.3', Message: 'heartbeat failure' },
  };
  const web = {
    ID: 's1',
    Spec: { Name: 'web' },
    PortConflicts: [
      {
        NodeID: NODE.ID,
        Hostname: 'h1',
        Protocol: 'tcp',
        PublishedPort: 80,
        Reason: 'nginx has it',
      },
    ],
  };
  const answers = {
    'GET /nodes': [
      member(NODE, 1, WORKER.ID),
      member(WORKER as never, 2, NODE.ID, { Firewalls: [firewall] }),
      third,
    ],
    'GET /services': [web],
    'GET /info': {
      Swarm: { Cluster: { DataPathPort: 4790 }, Warnings: ['WARNING: Two managers.'] },
    },
  };
  const found = await command(t, answers, 'doctor');
  t.is(found.code, 1);
  t.deepEqual(found.out.trimEnd().split('\n'), [
    '- Two managers.',
    '- h3 is down: heartbeat failure; start its daemon, or see whether other nodes reach 192.0.2.3',
    '- h1 and h2 do not reach each other through the tunnel: let 4790/udp pass between 198.51.100.1 and 198.51.100.2',
    '- port 80/tcp of web is not served on h1: nginx has it; stop that program, or publish another port',
    '- on h2 ufw (table ip filter) drops incoming packets that no rule of it accepts; unless you have done so, run there as root:',
    '    ufw allow 2377/tcp',
    '    ufw allow 4790/udp',
    '    ufw allow in on swarm-vxlan',
  ]);
  const well = await command(
    t,
    { 'GET /nodes': [NODE], 'GET /services': [], 'GET /info': INFO },
    'doctor',
  );
  t.is(well.code, 0);
  t.is(well.out, 'nothing is wrong with the node\n');
  const Paths = { Problems: [], Firewalls: [firewall] };
  const guarded = { ...NODE, Description: { ...NODE.Description, Paths } };
  const advised = await command(
    t,
    { 'GET /nodes': [guarded], 'GET /services': [], 'GET /info': INFO },
    'doctor',
  );
  t.is(advised.code, 0);
  t.regex(
    advised.out,
    /run there as root:\n {4}ufw allow.*\nnothing else is wrong with the node\n$/s,
  );
});

test('info and version name the same version, and info the engine beside it', async (t) => {
  const worker = { ...INFO, Swarm: { ...INFO.Swarm, ControlAvailable: false, Version: '0.1.0' } };
  const answers = {
    'GET /version': { Version: '0.1.0', ApiVersion: '1.50', MinAPIVersion: '1.24' },
    'GET /info': { ...worker, ServerVersion: '20.10.24' },
  };
  const info = await command(t, answers, 'info');
  t.true(info.out.startsWith('Server Version: 0.1.0\nDocker Engine: 20.10.24\nSwarm: '), info.err);
  const version = await command(t, answers, 'version');
  t.regex(version.out, /Server:\n Version: {5}0\.1\.0\n/);
  const alone = { ...answers, 'GET /info': { ...worker, ServerVersion: '0.1.0' } };
  t.true((await command(t, alone, 'info')).out.startsWith('Server Version: 0.1.0\nSwarm: '));
});

test('join-token where there is no manager says what the daemon says', async (t) => {
  const message =
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect';
  const outside = { ...INFO, Swarm: { ...INFO.Swarm, NodeID: '', LocalNodeState: 'inactive' } };
  const answers = { 'GET /swarm': { status: 503, message }, 'GET /info': outside };
  const done = await command(t, answers, 'join-token', 'worker');
  t.is(done.code, 1);
  t.is(done.err, `Error response from daemon: ${message.replaceAll('docker swarm', 'swarm')}\n`);
  const wrong = await command(t, answers, 'join-token', 'boss');
  t.is(wrong.err, "no join token for 'boss': use worker or manager\n");
});

test('node ls counts nodes that the cluster does not know, below its table', async (t) => {
  const Strangers = [{ NodeID: 'x', Addr: '198.18.0.51' }];
  const info = (list: object[]) => ({ ...INFO, Swarm: { ...INFO.Swarm, Strangers: list } });
  const ask = (list: object[], ...argv: string[]) =>
    command(t, { 'GET /nodes': [NODE], 'GET /info': info(list) }, 'node', 'ls', ...argv);
  const { out } = await ask(Strangers);
  t.regex(
    out,
    /0\.1\.0\n\n1 node asks for work that this cluster does not know, from 198\.18\.0\.51: run 'swarm leave --force' there, then join again\.\n$/,
  );
  const many = await ask(Array.from({ length: 9 }, (_, i) => ({ NodeID: `${i}`, Addr: `h${i}` })));
  t.regex(many.out, /9 nodes ask for work .* from h0, h1, h2, h3, h4 and 4 more: /);
  for (const argv of [['-q'], ['--format', 'json']])
    t.notRegex((await ask(Strangers, ...argv)).out, /asks for work/);
});

test('node inspect self asks who this node is', async (t) => {
  const done = await command(t, NODE_BY_ID, 'node', 'inspect', 'self', '--pretty');
  t.is(done.code, 0);
  t.regex(done.out, /Joined at: +\t2026-01-01 00:00:00 \+0000 utc\n/);
  t.true(done.out.includes(' Leader:\t\tYes\n'));
});

test('node update changes what its flags say and keeps the rest', async (t) => {
  const flags = [
    '--availability',
    'drain',
    '--label-add',
    'b=2',
    '--label-rm',
    'a',
    '--role',
    'worker',
  ];
  const done = await command(t, NODE_BY_ID, 'node', 'update', ...flags, 'h1');
  t.is(done.out, 'h1\n');
  t.deepEqual(sent(done, UPDATE).query, { version: '10' });
  t.deepEqual(sent(done, UPDATE).body, {
    Labels: { b: '2' },
    Role: 'worker',
    Availability: 'drain',
  });
  for (const bad of [
    ['--role', 'x'],
    ['--availability', 'x'],
  ])
    t.is((await command(t, NODE_BY_ID, 'node', 'update', ...bad, 'h1')).code, 1);
});

test('node demote changes the role once, promote of a manager says that it is one', async (t) => {
  const down = await command(t, NODE_BY_ID, 'node', 'demote', 'h1');
  t.is(down.out, 'Manager h1 demoted in the swarm.\n');
  t.is(sent(down, UPDATE).body.Role, 'worker');
  const up = await command(t, NODE_BY_ID, 'node', 'promote', 'h1', 'nope');
  t.deepEqual([up.code, up.out], [1, 'Node h1 is already a manager.\n']);
  t.false(up.asked.some(({ method }) => method === 'POST'));
});

test('node rm removes by force only when it is asked to', async (t) => {
  const answers = { 'DELETE /nodes/h1': {} };
  t.deepEqual((await command(t, answers, 'node', 'rm', 'h1')).asked[0]?.query, {});
  t.deepEqual((await command(t, answers, 'node', 'rm', '-f', 'h1')).asked[0]?.query, {
    force: '1',
  });
});

test('init sends what its flags say and prints how to join', async (t) => {
  const answers = { ...NODE_BY_ID, 'GET /_ping': 'OK', 'POST /swarm/init': () => NODE.ID };
  const done = await command(
    t,
    answers,
    ...[
      'init',
      '--advertise-addr',
      'eth0',
      '--listen-addr',
      '0.0.0.0:1',
      '--data-path-addr',
      'eth1',
    ],
    ...['--default-addr-pool', '10.20.0.0/16,10.30.0.0/16', '--default-addr-pool', '10.40.0.0/16'],
    ...['--default-addr-pool-mask-length', '26'],
    ...['--data-path-port', '5000', '--availability', 'drain', '--cert-expiry', '2h'],
    ...['--dispatcher-heartbeat', '2s', '--snapshot-interval', '9', '--task-history-limit', '3'],
    ...['--host-privileges', 'capabilities'],
  );
  t.is(done.code, 0, done.err);
  t.deepEqual(sent(done, '/swarm/init').body, {
    ListenAddr: '0.0.0.0:1',
    AdvertiseAddr: 'eth0',
    DataPathAddr: 'eth1',
    DataPathPort: 5000,
    DefaultAddrPool: ['10.20.0.0/16', '10.30.0.0/16', '10.40.0.0/16'],
    SubnetSize: 26,
    ForceNewCluster: false,
    Availability: 'drain',
    Spec: {
      Orchestration: { TaskHistoryRetentionLimit: 3 },
      Raft: { SnapshotInterval: 9 },
      Dispatcher: { HeartbeatPeriod: 2e9 },
      CAConfig: { NodeCertExpiry: 7200e9 },
      EncryptionConfig: { AutoLockManagers: false },
      HostPrivileges: 'capabilities',
    },
  });
  t.true(done.out.includes('    swarm join --token SWMTKN-w 192.0.2.1:2377\n'));
});

test('init --force-new-cluster keeps the settings of the cluster', async (t) => {
  const answers = { ...NODE_BY_ID, 'GET /_ping': 'OK', 'POST /swarm/init': () => NODE.ID };
  const done = await command(t, answers, 'init', '--force-new-cluster');
  t.is(done.code, 0, done.err);
  t.true(sent(done, '/swarm/init').body.ForceNewCluster);
  const refused = await command(t, answers, 'init', '--force-new-cluster', '--cert-expiry', '2h');
  t.is(refused.code, 1);
  t.false(refused.asked.some(({ path }) => path === '/swarm/init'));
});

test('join sends token and address, and says what the node became', async (t) => {
  const answers = { ...NODE_BY_ID, 'GET /_ping': 'OK', 'POST /swarm/join': {} };
  const done = await command(t, answers, 'join', '--token', 'T', '192.0.2.9:2377');
  t.is(done.out, 'This node joined a swarm as a manager.\n');
  t.like(sent(done, '/swarm/join').body, { JoinToken: 'T', RemoteAddrs: ['192.0.2.9:2377'] });
  t.regex((await command(t, answers, 'join', '192.0.2.9:2377')).err, /a token is needed/);
});

test('reconnect sends the addresses of this node and of managers', async (t) => {
  const answers = { 'POST /x/reconnect': {} };
  const done = await command(t, answers, 'reconnect', '192.0.2.9', '[2001:db8::1]:2377');
  t.is(done.code, 0, done.err);
  t.deepEqual(sent(done, '/x/reconnect').body, {
    ListenAddr: '',
    AdvertiseAddr: '',
    DataPathAddr: '',
    RemoteAddrs: ['192.0.2.9', '[2001:db8::1]:2377'],
  });
  const moved = await command(t, answers, 'reconnect', '--advertise-addr', 'eth0');
  t.like(sent(moved, '/x/reconnect').body, { AdvertiseAddr: 'eth0', RemoteAddrs: [] });
});

test('join-token shows and rotates', async (t) => {
  const answers = { ...NODE_BY_ID, 'POST /swarm/update': {} };
  t.is((await command(t, answers, 'join-token', '-q', 'manager')).out, 'SWMTKN-m\n');
  const rotated = await command(t, answers, 'join-token', '--rotate', 'worker');
  t.deepEqual(sent(rotated, '/swarm/update').query, {
    version: '7',
    rotateWorkerToken: 'true',
    rotateManagerToken: 'false',
    rotateManagerUnlockKey: 'false',
  });
  t.is((await command(t, answers, 'join-token', 'boss')).code, 1);
});

test('update changes only what its flags say, ca prints the root, leave may be forced', async (t) => {
  const answers = { 'GET /swarm': CLUSTER, 'POST /swarm/update': {}, 'POST /swarm/leave': {} };
  const done = await command(t, answers, 'update', '--task-history-limit', '2');
  t.is(done.out, 'Swarm updated.\n');
  t.deepEqual(sent(done, '/swarm/update').body, {
    ...CLUSTER.Spec,
    Orchestration: { TaskHistoryRetentionLimit: 2 },
  });
  const allowed = await command(t, answers, 'update', '--host-privileges', 'root');
  t.deepEqual(sent(allowed, '/swarm/update').body, { ...CLUSTER.Spec, HostPrivileges: 'root' });
  const refused = await command(t, answers, 'update', '--host-privileges', 'much');
  t.regex(refused.err, /'much' for --host-privileges: use none, capabilities, root/);
  t.is((await command(t, answers, 'update')).code, 1);
  t.is((await command(t, answers, 'ca')).out, 'CERTIFICATE\n');
  const left = await command(t, answers, 'leave', '-f');
  t.deepEqual([left.out, left.asked[0]?.query], ['Node left the swarm.\n', { force: '1' }]);
});

test('an unknown command, or one that is not supported yet, is named', async (t) => {
  for (const [argv, message] of [
    [['nope'], /'nope' is not a swarm command/],
    [['service', 'nope'], /'service nope' is not a swarm command/],
    [['secret', 'ls'], /'swarm secret' is not supported yet/],
    [['stack', 'deploy'], /'swarm stack' is not supported yet/],
    [['init', '--autolock'], /--autolock is not supported by swarm init yet/],
    [['ca', '--rotate'], /--rotate is not supported by swarm ca yet/],
  ] as const) {
    const done = await command(t, {}, ...argv);
    t.is(done.code, 1, argv.join(' '));
    t.regex(done.err, message);
    t.is(done.asked.length, 0);
  }
});

test('a group of commands lists them, and `swarm swarm ca` means `swarm ca`', async (t) => {
  const help = await command(t, {}, 'service', '--help');
  t.is(help.code, 0);
  t.regex(help.out, /Usage: swarm service COMMAND[\s\S]* rollback +Revert/);
  t.is((await command(t, {}, 'service')).code, 1);
  t.is((await command(t, { 'GET /swarm': CLUSTER }, 'swarm', 'ca')).out, 'CERTIFICATE\n');
});

test('a port that a node does not serve is said by node inspect, service inspect and service ps', async (t) => {
  const conflict = { Protocol: 'tcp', PublishedPort: 8080, Reason: 'nginx (pid 8) listens on it' };
  const port = { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' };
  const service = {
    ID: 'service1',
    Version: { Index: 1 },
    CreatedAt: '2026-01-01T00:00:00.000Z',
    Spec: { Name: 'web', Labels: {}, Mode: { Replicated: { Replicas: 1 } }, TaskTemplate: {} },
    Endpoint: { Spec: {}, Ports: [port] },
    PortConflicts: [{ NodeID: NODE.ID, Hostname: 'h1', ...conflict }],
  };
  const task = {
    ID: 'task1',
    ServiceID: 'service1',
    Slot: 1,
    NodeID: WORKER.ID,
    CreatedAt: '2026-01-01T00:00:00.000Z',
    DesiredState: 'running',
    Spec: {},
    Status: {
      State: 'running',
      Timestamp: '2026-01-01T00:00:00.000Z',
      Message: 'running',
      PortStatus: { Ports: [{ ...port, PublishMode: 'host' }] },
    },
  };
  const node = { ...NODE, Description: { ...NODE.Description, PortConflicts: [conflict] } };
  const answers = {
    'GET /info': INFO,
    'GET /nodes': [node, WORKER],
    'GET /nodes/h1': node,
    'GET /services': [service, { ...service, ID: 'other', Spec: { Name: 'other' } }],
    'GET /services/web': service,
    'GET /tasks': [task],
  };
  const inspected = await command(t, answers, 'node', 'inspect', '--pretty', 'h1');
  t.regex(inspected.out, /^Ports Not Served:\n 8080\/tcp:\t\tnginx \(pid 8\) listens on it$/m);
  const pretty = await command(t, answers, 'service', 'inspect', '--pretty', 'web');
  t.regex(
    pretty.out,
    /PublishMode = ingress\n {2}Not served on h1: nginx \(pid 8\) listens on it\n/,
  );
  const listed = await command(t, answers, 'service', 'ps', 'web');
  t.regex(listed.out, /\*:8080->80\/tcp$/m);
  t.is(listed.err, 'port 8080/tcp of web is not served on h1: nginx (pid 8) listens on it\n');
  t.is((await command(t, answers, 'service', 'ps', '-q', 'web')).err, '');
});
