import type { LogLine, NodeDescription, TaskStatus } from '@swarm/api';
import { Msgpack, readAgentFrame } from '@swarm/api/wire';
import test from 'ava';
import fc from 'fast-check';
import {
  reportableDescription,
  reportableLines,
  reportableStatus,
  statusCostBytes,
} from '../src/agent/reportable.js';
import { nextStatus } from '../src/agent/task-status.js';

const msgpack = new Msgpack();
const AT = '2026-01-01T00:00:00.000Z';
const NOW_MS = Date.UTC(2026, 0, 1);

/** As the manager reads it; throws for what it refuses. */
const told = (message: unknown) => readAgentFrame(msgpack, msgpack.pack(message));

const anything = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withTypedArray: true,
    withMap: true,
    maxDepth: 2,
  }),
  fc.string({ unit: 'binary', maxLength: 3_000 }),
  fc.constantFrom(Number.NaN, 2 ** 63, -0.5, '\ud800', 'x'.repeat(100_000), '__proto__', undefined),
);
const optional = { requiredKeys: [] };
const orAnything = (right: fc.Arbitrary<unknown>) => fc.oneof(right, anything);

test('whatever a host or an engine says, the description made of it passes', (t) => {
  const engine = fc.record(
    {
      EngineVersion: anything,
      Labels: orAnything(fc.dictionary(fc.string({ maxLength: 400 }), anything, { maxKeys: 400 })),
      Plugins: orAnything(
        fc.array(fc.record({ Type: anything, Name: anything }), { maxLength: 400 }),
      ),
    },
    optional,
  );
  const description = fc.record(
    {
      Hostname: anything,
      Platform: orAnything(fc.record({ Architecture: anything, OS: anything }, optional)),
      Resources: orAnything(fc.record({ NanoCPUs: anything, MemoryBytes: anything }, optional)),
      Engine: orAnything(engine),
      TLSInfo: anything,
      Runtime: anything,
      RuntimeCapabilities: orAnything(fc.array(anything, { maxLength: 100 })),
      MeshBackend: anything,
    },
    optional,
  );
  fc.assert(
    fc.property(description, (said) => {
      const found = reportableDescription(said as unknown as NodeDescription);
      t.like(told({ type: 'description', description: found }), { description: found });
    }),
    { numRuns: 300 },
  );
});

test('a description in order is reported as it is', (t) => {
  const description: NodeDescription = {
    Hostname: 'n1',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * 1024 ** 3 },
    Engine: {
      EngineVersion: '28.2.2',
      Labels: { zone: 'a' },
      Plugins: [{ Type: 'Volume', Name: 'local' }],
    },
    Runtime: 'docker',
    MeshBackend: 'nftables',
  };
  t.deepEqual(reportableDescription(description), description);
});

test('a description that is too large gives up plugins first, then labels', (t) => {
  const Labels = Object.fromEntries(
    Array.from({ length: 50 }, (_, at) => [`l${at}`, 'x'.repeat(900)]),
  );
  const Plugins = Array.from({ length: 200 }, (_, at) => ({
    Type: 'x'.repeat(200),
    Name: `${at}`,
  }));
  const found = reportableDescription({
    Hostname: 'n1',
    Platform: { Architecture: '', OS: '' },
    Resources: {},
    Engine: { EngineVersion: '1', Labels, Plugins },
  });
  t.deepEqual(found.Engine.Labels, Labels);
  t.is(found.Engine.Plugins?.length, 50);
});

test('whatever a runtime says of a task, the status made of it passes, in a frame of a legal size', (t) => {
  const ports = fc.array(
    fc.record(
      { Name: anything, Protocol: anything, TargetPort: fc.nat(70_000), PublishMode: anything },
      optional,
    ),
    { maxLength: 5 },
  );
  const change = fc.record({
    Message: fc.string({ unit: 'binary', maxLength: 9_000 }),
    Err: fc.string({ unit: 'binary', maxLength: 9_000 }),
    PID: anything,
    ExitCode: anything,
    Ready: anything,
    prepared: fc.record({ containerId: anything, address: anything, ports }),
  });
  const first: TaskStatus = { Timestamp: AT, State: 'preparing', Message: '' };
  fc.assert(
    fc.property(change, (said) => {
      const status = nextStatus(first, { State: 'running', ...said } as never, NOW_MS);
      const found = reportableStatus(status, NOW_MS);
      t.truthy(found);
      const updates = [{ taskId: 't1', status: found }];
      const message = { type: 'status', sequence: 1, updates };
      t.deepEqual(told(message), message as never);
      t.true(msgpack.pack(found).byteLength <= statusCostBytes(found!));
      t.true(msgpack.pack({ ...found, PortStatus: null }).byteLength <= 8 * 1024);
    }),
    { numRuns: 300 },
  );
});

test('a state that only managers set is not reported', (t) => {
  for (const State of ['orphaned', 'remove'] as const)
    t.is(reportableStatus({ Timestamp: AT, State, Message: '' }, NOW_MS), undefined);
});

test('whatever a runtime says of a line, what is made of it passes and has the same bytes', (t) => {
  const line = fc.record({ timestamp: anything, size: fc.nat(100_000) });
  fc.assert(
    fc.property(line, ({ timestamp, size }) => {
      const data = Buffer.alloc(size, 7);
      const said = { taskId: 't1', stream: 'stdout', timestamp, data } as unknown as LogLine;
      const lines = [...reportableLines(said, NOW_MS)];
      for (const one of lines) told({ type: 'log', subscription: 's', lines: [one] });
      t.is(Buffer.concat(lines.map((one) => one.data)).length, size);
    }),
    { numRuns: 50 },
  );
});
