import test from 'ava';
import { Packr } from 'msgpackr';
import type {
  AgentMessage,
  MeshPeer,
  Node,
  NodeDescription,
  Task,
  TaskStatus,
} from '../src/index.js';
import { PORTS_LIMIT } from '../src/validate/ports.js';
import {
  AGENT_FRAME_LIMITS_BYTES,
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

test('messages of an agent are read as they were sent, without what nobody knows', (t) => {
  t.deepEqual(fromAgent({ ...hello, later: 1 }), hello);
  const read = fromAgent(reported({ AppliedAt: AT, Later: new Date(0).getTime() }));
  t.deepEqual(read, { type: 'status', sequence: 1, updates: [{ taskId: 't1', status }] });
  const line = { taskId: 't1', stream: 'stdout', timestamp: AT, data: Buffer.from('x') };
  t.like(fromAgent({ type: 'log', subscription: 's.1', lines: [line] }), { subscription: 's.1' });
});

test('a status that is not one is refused, and the place is named', (t) => {
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

test('a description that is not one is refused', (t) => {
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
  // What is no UTF-8 becomes U+FFFD, which takes three bytes.
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
const assignments = {
  type: 'assignments',
  kind: 'complete',
  appliesTo: 0,
  resultsIn: 1,
  remove: [],
};
const peer: MeshPeer = { nodeId: 'n1', index: 1, address: '198.18.0.1', subnet: '10.240.1.0/24' };
const read = managerFrameReader(msgpack);
const fromManager = (value: unknown) => read(packr.pack(value));

test('one bad task of an assignment set is set aside with its id and its wish, the rest is read', (t) => {
  const bad = { ...task, ID: 't2', DesiredState: 'shutdown', Endpoint: { Ports: {} } };
  const worse = { ...task, ID: '../../etc' };
  const { message, setAside } = fromManager({ ...assignments, update: [bad, task, worse, 7] });
  t.deepEqual(message, { ...assignments, update: [task] });
  t.deepEqual(
    setAside.map((part) => ({ ...part, problem: undefined })),
    [
      { what: 'task', id: 't2', desired: 'shutdown', problem: undefined },
      { what: 'task', id: undefined, desired: 'running', problem: undefined },
      { what: 'task', id: undefined, desired: undefined, problem: undefined },
    ],
  );
  t.is(setAside[0]?.problem, '[0].Endpoint.Ports: must be a list, not an object');
  t.deepEqual(fromManager({ ...assignments, update: [task] }).setAside, []);
});

test('a mesh peer, port or endpoint that can not be read is left out, and what the agent had in its place goes', (t) => {
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
    { ...assignments, update: {} },
    { ...assignments, update: [], resultsIn: 'x' },
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
