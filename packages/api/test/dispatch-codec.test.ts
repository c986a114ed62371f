import test from 'ava';
import { Packr } from 'msgpackr';
import {
  type AgentMessage,
  type AssignmentChange,
  configShape,
  type MeshPeer,
  needsOf,
  type Node,
  type NodeDescription,
  type Task,
  taskAssignments,
  type TaskStatus,
  typedAssignments,
} from '../src/index.js';
import { PORTS_LIMIT } from '../src/validate/ports.js';
import {
  AGENT_FRAME_LIMITS_BYTES,
  ASSIGNED_KINDS,
  MalformedMessage,
  managerFrameReader,
  Msgpack,
  readAgentFrame,
} from '../src/wire/index.js';

const packr = new Packr({ useRecords: false });
const msgpack = new Msgpack();
const AT = '2026-01-01T00:00:00.000Z';

const description: NodeDescription = {
  Hostname: 'n1',
  Platform: { Architecture: 'x86_64', OS: 'linux' },
  Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * 1024 ** 3 },
  Engine: { EngineVersion: '1.0' },
};
const hello: AgentMessage = {
  type: 'hello',
  description,
  dataPathAddr: '198.18.0.7',
  meshGeneration: 0,
};
const status: TaskStatus = { Timestamp: AT, State: 'running', Message: 'started' };

function fromAgent(value: unknown): AgentMessage {
  return readAgentFrame(msgpack, packr.pack(value));
}

function refusal(value: unknown): string {
  try {
    fromAgent(value);
  } catch (error) {
    if (error instanceof MalformedMessage) return error.message;
    throw error;
  }
  throw new Error('it was read');
}

function reported(change: object): unknown {
  return {
    type: 'status',
    sequence: 1,
    updates: [{ taskId: 't1', status: { ...status, ...change } }],
  };
}

test('messages of an agent are read as sent, without unknown fields', (t) => {
  t.deepEqual(fromAgent({ ...hello, later: 1 }), hello);
  const read = fromAgent(reported({ AppliedAt: AT, Later: new Date(0).getTime() }));
  t.deepEqual(read, { type: 'status', sequence: 1, updates: [{ taskId: 't1', status }] });
  const line = { taskId: 't1', stream: 'stdout', timestamp: AT, data: Buffer.from('x') };
  t.like(fromAgent({ type: 'log', subscription: 's.1', lines: [line] }), { subscription: 's.1' });
});

test('a malformed status is refused, and the error says where', (t) => {
  t.is(
    refusal(reported({ PortStatus: { Ports: {} } })),
    'updates[0].status.PortStatus.Ports: must be a list, not an object',
  );
  t.regex(refusal(reported({ Address: '169.254.169.254\n' })), /status\.Address: must be an IP/);
  t.regex(refusal(reported({ Timestamp: 'now' })), /Timestamp: must be a time of RFC 3339/);
  t.regex(refusal(reported({ Timestamp: '1' })), /Timestamp: must be a time of RFC 3339/);
  t.regex(refusal(reported({ State: 'orphaned' })), /State: must be one of/);
  t.regex(refusal(reported({ State: 'remove' })), /State: must be one of/);
  t.regex(refusal(reported({ Ready: 1 })), /Ready: must be true or false/);
  t.regex(refusal(reported({ ContainerStatus: { PID: 2n ** 60n } })), /beyond 2\^53/);
  t.regex(refusal(reported({ ContainerStatus: { ExitCode: 0.5 } })), /ExitCode: must be a whole/);
  const port = { Protocol: 'tcp', TargetPort: 80, PublishMode: 'host' };
  const ports = Array.from({ length: PORTS_LIMIT + 1 }, () => port);
  t.regex(refusal(reported({ PortStatus: { Ports: ports } })), /at most 1000 elements/);
  t.regex(
    refusal(reported({ PortStatus: { Ports: [{ ...port, TargetPort: 70_000 }] } })),
    /a port/,
  );
});

test('a malformed description is refused', (t) => {
  const told = (change: object) =>
    refusal({ ...hello, description: { ...description, ...change } });
  t.regex(told({ Resources: { MemoryBytes: 2n ** 63n } }), /beyond 2\^53/);
  t.regex(told({ Resources: { NanoCPUs: Number.NaN } }), /NanoCPUs: must be a whole number/);
  t.regex(told({ Engine: { EngineVersion: '1', Plugins: {} } }), /Plugins: must be a list/);
  t.regex(told({ Hostname: 7 }), /Hostname: must be a string/);
  t.regex(told({ Platform: null }), /Platform: is missing/);
  t.regex(
    refusal({ ...hello, dataPathAddr: '198.18.0.1\nlink del eth0' }),
    /dataPathAddr: must be/,
  );
  t.regex(refusal({ ...hello, dataPathAddr: 'n1.example' }), /dataPathAddr: must be/);
});

test('a description takes at most 64 KiB, before and after its bytes became text', (t) => {
  const told = (byte: string): Buffer => {
    const TLSInfo = {
      TrustRoot: 'x'.repeat(50_000),
      CertIssuerSubject: '',
      CertIssuerPublicKey: '',
    };
    const frame = packr.pack({ ...hello, description: { ...description, TLSInfo } });
    return Buffer.from(
      frame.toString('latin1').replaceAll('x'.repeat(50_000), byte.repeat(50_000)),
      'latin1',
    );
  };
  t.notThrows(() => readAgentFrame(msgpack, told('x')));
  // Bytes that are not UTF-8 become U+FFFD, which takes three bytes.
  t.true(told('\xff').length < AGENT_FRAME_LIMITS_BYTES.hello);
  t.throws(() => readAgentFrame(msgpack, told('\xff')), {
    instanceOf: MalformedMessage,
    message: /a description of more than/,
  });
  t.regex(refusal({ ...hello, later: 'x'.repeat(67_000) }), /a hello of more than/);
});

test('each message has its own largest size', (t) => {
  t.regex(
    refusal({ type: 'heartbeat', later: 'x'.repeat(2_000) }),
    /a heartbeat of more than 1024/,
  );
  t.regex(
    refusal({ type: 'mesh-ack', generation: 1, later: 'x'.repeat(2_000) }),
    /mesh-ack of more/,
  );
  t.regex(
    refusal({ type: 'log', subscription: 's', lines: [], later: 'x'.repeat(300_000) }),
    /a log of/,
  );
  t.regex(
    refusal({ type: 'status', sequence: 1, updates: [], later: 'x'.repeat(2_000_000) }),
    /bytes/,
  );
});

test('long texts of a status are cut; controls are kept', (t) => {
  const read = fromAgent(reported({ Message: '€'.repeat(5_000), Err: '\x1b[31m\0'.repeat(2_000) }));
  if (read.type !== 'status') throw new Error('no status');
  const cut = read.updates[0]!.status;
  t.is(Buffer.byteLength(cut.Message), 2046);
  t.is(cut.Err?.length, 4096);
  t.true(cut.Err?.startsWith('\x1b[31m\0'));
});

test('a message of an unknown type is refused by its name', (t) => {
  t.is(refusal({ type: 'dance' }), 'type: is unknown: "dance"');
  t.is(refusal({ type: 5 }), 'type: is unknown: a number');
  t.regex(refusal([1]), /must be an object, not a list/);
});

// --- What managers say

const task: Task = {
  ID: 't1',
  Version: { Index: 1 },
  CreatedAt: AT,
  UpdatedAt: AT,
  Name: 'web.1.t1',
  Labels: {},
  Spec: {
    ContainerSpec: { Image: 'nginx', Privileges: { Seccomp: { Mode: 'default' } } },
    ForceUpdate: 0,
  },
  SpecVersion: { Index: 1 },
  ServiceID: 's1',
  ServiceName: 'web',
  ServiceLabels: {},
  Slot: 1,
  NodeID: 'n1',
  Status: { Timestamp: AT, State: 'assigned', Message: '' },
  DesiredState: 'running',
  Endpoint: { Ports: [] },
};
const assignments = { type: 'assignments', set: 'complete', appliesTo: 0, resultsIn: 1 };
const put = (kind: string, object: unknown) => ({ kind, action: 'put', object });
const secret = {
  ID: 'secret1',
  Version: { Index: 3 },
  CreatedAt: AT,
  UpdatedAt: AT,
  Spec: { Name: 'password', Labels: {}, Data: 'aHVudGVyMg==' },
};
const peer: MeshPeer = { nodeId: 'n1', index: 1, address: '198.18.0.1', subnet: '10.240.1.0/24' };
const read = managerFrameReader(msgpack);
const fromManager = (value: unknown) => read(packr.pack(value));

test('an unreadable part of an assignment set is set aside by kind and id, the rest is read', (t) => {
  const bad = { ...task, ID: 't2', DesiredState: 'shutdown', Endpoint: { Ports: {} } };
  const worse = { ...task, ID: '../../etc' };
  const changes = [
    put('task', bad),
    put('secret', secret),
    put('secret', { ...secret, Spec: { Name: 7 } }),
    put('gpu', { ID: 'gpu1' }),
    put('task', task),
    put('task', worse),
    { kind: 'config', action: 'remove', id: 'config1' },
    { kind: 'config', action: 'dance', id: 'config2' },
    { kind: 'config', action: 'remove', id: '../../etc' },
    7,
  ];
  const { message, setAside } = fromManager({ ...assignments, changes });
  t.deepEqual(message, {
    ...assignments,
    changes: [changes[1], changes[4], changes[6]],
  } as never);
  const aside = setAside.map((part) => [
    ...(part.what === 'assigned object' ? [part.kind, part.id, part.desired] : []),
    part.problem,
  ]);
  t.deepEqual(aside, [
    ['task', 't2', 'shutdown', '[0].object.Endpoint.Ports: must be a list, not an object'],
    ['secret', 'secret1', undefined, '[2].object.Spec.Name: must be a string, not a number'],
    ['gpu', 'gpu1', undefined, '[3].kind: is not known to this version'],
    ['task', undefined, 'running', '[5].object.ID: must be the id of an object'],
    ['config', undefined, undefined, '[7].action: must be one of put, remove'],
    ['config', undefined, undefined, '[8].id: must be the id of an object'],
    [undefined, undefined, undefined, '[9]: must be an object'],
  ]);
});

test('an object larger than its kind may be is set aside', (t) => {
  const big = (bytes: number) => ({
    ...secret,
    Spec: { ...secret.Spec, Data: 'A'.repeat(bytes) },
  });
  const aside = (kind: string, object: unknown) =>
    fromManager({ ...assignments, changes: [put(kind, object)] }).setAside[0]?.problem;
  // What is allowed to be stored: 500 and 1000 KiB, as Base64.
  t.is(aside('secret', big((500 * 1024 * 4) / 3 + 4)), undefined);
  t.is(aside('config', big((1000 * 1024 * 4) / 3 + 4)), undefined);
  t.is(aside('secret', big(800 * 1024)), '[0].object: must have at most 786432 bytes');
});

test('a kind that is added is read by its own shape', (t) => {
  const kinds = { ...ASSIGNED_KINDS, gpu: { shape: configShape, limitBytes: 1000 } };
  const readMore = managerFrameReader(msgpack, kinds);
  const { message, setAside } = readMore(
    packr.pack({ ...assignments, changes: [put('gpu', secret), put('task', task)] }),
  );
  t.deepEqual(message, {
    ...assignments,
    changes: [put('gpu', secret), put('task', task)],
  } as never);
  t.deepEqual(setAside, []);
});

test('assignments of protocol 1 are read too, and say the same in both protocols', (t) => {
  const bad = { ...task, ID: 't2', Endpoint: { Ports: {} } };
  const old = { type: 'assignments', kind: 'complete', appliesTo: 0, resultsIn: 1 } as const;
  const { message, setAside } = fromManager({ ...old, update: [bad, task], remove: ['t3'] });
  t.deepEqual(message, { ...old, update: [task], remove: ['t3'] });
  t.like(setAside[0], { what: 'assigned object', kind: 'task', id: 't2', desired: 'running' });
  const typed = typedAssignments({ ...old, update: [task], remove: ['t3'] });
  t.deepEqual(typed, {
    ...assignments,
    changes: [{ kind: 'task', action: 'remove', id: 't3' }, put('task', task)],
  } as never);
  t.deepEqual(taskAssignments(typed), { ...old, update: [task], remove: ['t3'] });
});

test('what protocol 1 does not know is left out for its agents, and pieces are never made for them', (t) => {
  const changes: AssignmentChange[] = [
    { kind: 'secret', action: 'put', object: secret },
    { kind: 'task', action: 'put', object: task },
    { kind: 'task', action: 'remove', id: task.ID },
    { kind: 'secret', action: 'remove', id: 'secret1' },
  ];
  const typed = { type: 'assignments', appliesTo: 4, resultsIn: 5, changes } as const;
  t.deepEqual(taskAssignments({ ...typed, set: 'incremental' }), {
    type: 'assignments',
    kind: 'incremental',
    appliesTo: 4,
    resultsIn: 5,
    update: [],
    remove: ['t1'],
  });
  t.throws(() => taskAssignments({ ...typed, set: 'piece' }), { instanceOf: TypeError });
});

test('a task needs the networks, secrets and configs that it names, each once, until it has ended', (t) => {
  const File = { Name: 'x', UID: '0', GID: '0', Mode: 0o444 };
  const SecretReference = { SecretID: 'secret1', SecretName: 'password', File };
  const needy: Task = {
    ...task,
    Spec: {
      ...task.Spec,
      ContainerSpec: {
        Image: 'nginx',
        Secrets: [SecretReference, { ...SecretReference, File: { ...File, Name: 'y' } }],
        Configs: [{ ConfigID: 'config1', ConfigName: 'site', File }],
      },
    },
    NetworksAttachments: [
      { Network: { ID: 'net1', Spec: { Name: 'front' } }, Addresses: ['10.0.1.2/32'] },
    ],
  };
  t.deepEqual(needsOf(needy), [
    { kind: 'network', id: 'net1', name: 'front' },
    { kind: 'secret', id: 'secret1', name: 'password' },
    { kind: 'config', id: 'config1', name: 'site' },
  ]);
  t.deepEqual(needsOf({ ...needy, Status: { ...task.Status, State: 'failed' } }), []);
  t.deepEqual(needsOf(task), []);
});

test('a mesh peer, port or endpoint that cannot be read is left out, and the one the agent had goes', (t) => {
  const endpoint = { taskId: 't1', nodeId: 'n1', address: '10.240.1.2', port: 80 };
  const port = { protocol: 'tcp', publishedPort: 8080, serviceId: 's1', endpoints: [endpoint] };
  const delta = {
    base: 0,
    generation: 5,
    peers: [peer, { ...peer, nodeId: 'n2', address: '198.18.0.1\nlink del eth0' }],
    removedPeers: ['n3'],
    ports: [
      { ...port, endpoints: [{ ...endpoint, address: '10.240.1.2;' }, endpoint] },
      { ...port, publishedPort: 8081, serviceId: {} },
    ],
    removedPorts: [],
  };
  const { message, setAside } = fromManager({ type: 'mesh', delta });
  t.deepEqual(message, {
    type: 'mesh',
    delta: {
      base: 0,
      generation: 5,
      peers: [peer],
      removedPeers: ['n3', 'n2'],
      ports: [port],
      removedPorts: [{ protocol: 'tcp', publishedPort: 8081 }],
    },
  });
  t.deepEqual(
    setAside.map(({ what, id }) => [what, id]),
    [
      ['mesh peer', 'n2'],
      ['mesh endpoint', 't1'],
      ['mesh port', undefined],
    ],
  );
});

test('the envelope of a manager’s message must hold', (t) => {
  const bad = [
    { ...assignments, changes: {} },
    { ...assignments, changes: [], resultsIn: 'x' },
    { ...assignments, changes: [], set: 'half' },
    { ...assignments, kind: 'complete', update: [], remove: {} },
    { ...assignments },
    { type: 'mesh', delta: { base: 0 } },
    { type: 'welcome', sessionId: 's', heartbeatMs: 0, node: {}, managers: [] },
    { type: 'heartbeat-ack', heartbeatMs: Number.POSITIVE_INFINITY },
    { type: 'log-subscribe', subscription: 's', taskIds: ['t1'], options: { follow: true } },
    { type: 'session-end', reason: 'x' },
    { type: 'later' },
  ];
  for (const message of bad) t.throws(() => fromManager(message), { instanceOf: MalformedMessage });
});

test('a welcome is read without what the node said of itself, and without managers that have no address', (t) => {
  const node: Node = {
    ID: 'n1',
    Version: { Index: 1 },
    CreatedAt: AT,
    UpdatedAt: AT,
    Spec: { Labels: {}, Role: 'worker', Availability: 'active' },
    Status: { State: 'ready', Addr: '198.18.0.1' },
    Role: 'worker',
    Mesh: { Index: 1, Address: '198.18.0.1', Subnet: '10.240.1.0/24' },
  };
  const managers = [
    { nodeId: 'm1', address: '198.18.0.2:2377' },
    { nodeId: 'm2', address: 'x y' },
  ];
  const welcome = { type: 'welcome', sessionId: 's', heartbeatMs: 1000 };
  const stored = { ...node, Description: { Hostname: 5 } };
  const { message, setAside } = fromManager({ ...welcome, node: stored, managers });
  t.deepEqual(message, { ...welcome, node, managers: managers.slice(0, 1) } as never);
  t.deepEqual(
    setAside.map(({ what, id }) => [what, id]),
    [['manager', 'm2']],
  );
});
