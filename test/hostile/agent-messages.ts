import { type AgentMessage, RUNTIME_CAPABILITIES, type TaskState } from '@swarm/api';
import fc, { type Arbitrary } from 'fast-check';
import { type Knowledge, tasksOfSpeaker } from './facts.js';
import { ADDRESSES, ids, TEXTS, TIMES } from './values.js';

type MessageType = AgentMessage['type'];

const STATES: readonly TaskState[] = [
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
  'complete',
  'shutdown',
  'failed',
  'rejected',
  'remove',
  'orphaned',
];
const ALIVE: readonly TaskState[] = ['starting', 'running', 'running'];
const ARCHITECTURES = ['amd64', 'arm64', 'riscv64', ''];
const BACKENDS = ['nftables', 'userspace', 'ipvs'];
const RUNTIMES = ['process', 'docker'];

/** Valid but odd messages of an agent. The compiler makes sure that there is one for each type. */
export type AgentMessages = Readonly<Record<MessageType, Arbitrary<unknown>>>;

export function agentMessages(known: Knowledge): AgentMessages {
  const word = fc.oneof(
    { weight: 3, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 20 }) },
    { weight: 1, arbitrary: fc.constantFrom(...TEXTS) },
  );
  const time = fc.oneof(
    { weight: 4, arbitrary: fc.nat().map((ms) => new Date(1.7e12 + ms).toISOString()) },
    { weight: 1, arbitrary: fc.constantFrom(...TIMES) },
  );
  const address = fc.oneof(
    fc.tuple(fc.nat(255), fc.nat(255)).map(([b, c]) => `198.18.${b}.${c}`),
    fc.constantFrom(...ADDRESSES, ...Object.values(known.addresses)),
  );
  const labels = fc.dictionary(
    fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 12 }),
    word,
    { maxKeys: 4 },
  );
  const plugin = fc.record({ Type: fc.constantFrom('Volume', 'Network', 'Log'), Name: word });
  const description = fc.record(
    {
      Hostname: word,
      Platform: fc.record({
        Architecture: fc.constantFrom(...ARCHITECTURES),
        OS: fc.constantFrom('linux', 'windows'),
      }),
      Resources: fc.record(
        {
          NanoCPUs: fc.oneof(
            fc.nat(64).map((n) => n * 1e9),
            fc.maxSafeNat(),
          ),
          MemoryBytes: fc.maxSafeNat(),
        },
        { requiredKeys: [] },
      ),
      Engine: fc.record(
        { EngineVersion: word, Labels: labels, Plugins: fc.array(plugin, { maxLength: 4 }) },
        { requiredKeys: ['EngineVersion'] },
      ),
      Runtime: fc.constantFrom(...RUNTIMES),
      RuntimeCapabilities: fc.array(fc.constantFrom(...RUNTIME_CAPABILITIES, 'wings'), {
        maxLength: 12,
      }),
      MeshBackend: fc.constantFrom(...BACKENDS),
      ListenPort: fc.integer({ min: 1, max: 65_535 }),
      PortConflicts: fc.array(
        fc.record({
          Protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
          PublishedPort: fc.integer({ min: 1, max: 65_535 }),
          Reason: word,
        }),
        { maxLength: 4 },
      ),
    },
    { requiredKeys: ['Hostname', 'Platform', 'Resources', 'Engine'] },
  );
  const port = fc.record(
    {
      Name: word,
      Protocol: fc.constantFrom('tcp', 'udp', 'sctp'),
      TargetPort: fc.integer({ min: 1, max: 65_535 }),
      PublishedPort: fc.integer({ min: 1, max: 65_535 }),
      PublishMode: fc.constantFrom('ingress', 'host'),
    },
    { requiredKeys: ['Protocol', 'TargetPort', 'PublishMode'] },
  );
  const status = fc.record(
    {
      Timestamp: time,
      // Most can be reported about a running task.
      State: fc.oneof(fc.constantFrom(...STATES), fc.constantFrom(...ALIVE)),
      Message: fc.oneof(
        { weight: 20, arbitrary: word },
        { weight: 1, arbitrary: fc.nat(6_000).map((length) => 'm'.repeat(length)) },
      ),
      Err: word,
      ContainerStatus: fc.record(
        { ContainerID: word, PID: fc.maxSafeNat(), ExitCode: fc.integer({ min: -1, max: 255 }) },
        { requiredKeys: [] },
      ),
      PortStatus: fc.record({ Ports: fc.array(port, { maxLength: 4 }) }, { requiredKeys: [] }),
      Ready: fc.boolean(),
      Address: address,
      AppliedAt: time,
    },
    { requiredKeys: ['Timestamp', 'State', 'Message'] },
  );
  const id = ids(known);
  const ownTask = fc.nat(1_000_000).map((draw) => {
    const own = tasksOfSpeaker(known);
    return own[draw % (own.length || 1)] ?? 'nobody';
  });
  const taskId = fc.oneof({ weight: 4, arbitrary: ownTask }, { weight: 1, arbitrary: id });
  const subscription = fc.oneof(
    fc
      .nat(1_000_000)
      .map((draw) => known.subscriptions[draw % (known.subscriptions.length || 1)] ?? 'none'),
    word,
  );
  const stream = fc.constantFrom('stdout', 'stderr');
  const data = fc.oneof(
    { weight: 40, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    { weight: 1, arbitrary: fc.constant(new Uint8Array(60_000)) },
  );
  return {
    hello: fc.record(
      {
        type: fc.constant('hello'),
        description,
        dataPathAddr: address,
        meshGeneration: fc.oneof(fc.nat(100), fc.maxSafeNat()),
        instance: word,
      },
      { requiredKeys: ['type', 'description', 'dataPathAddr', 'meshGeneration'] },
    ),
    heartbeat: fc.constant({ type: 'heartbeat' }),
    status: fc.record({
      type: fc.constant('status'),
      sequence: fc.oneof(fc.nat(1000), fc.maxSafeNat()),
      updates: fc.array(fc.record({ taskId, status }), { maxLength: 6 }),
    }),
    'mesh-ack': fc.record({ type: fc.constant('mesh-ack'), generation: fc.constant(0) }),
    'assignments-ack': fc.record({
      type: fc.constant('assignments-ack'),
      resultsIn: fc.constant(0),
    }),
    description: fc.record({ type: fc.constant('description'), description }),
    log: fc.record({
      type: fc.constant('log'),
      subscription,
      lines: fc.array(
        fc.record(
          { taskId, stream, timestamp: time, data, partial: fc.boolean(), position: word },
          { requiredKeys: ['taskId', 'stream', 'timestamp', 'data'] },
        ),
        { maxLength: 4 },
      ),
    }),
    'log-end': fc.record(
      { type: fc.constant('log-end'), subscription, error: word },
      { requiredKeys: ['type', 'subscription'] },
    ),
  };
}
