import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { escapeJson, showControls } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { prettyNode } from '../src/output/pretty-node.js';
import { prettyService } from '../src/output/pretty-service.js';
import { jsonText, shown } from '../src/output/shown.js';
import { table } from '../src/output/table.js';
import { TaskOutput } from '../src/output/task-output.js';
import { type Answers, command, commandOn } from './support/fake-daemon.js';
import { frame } from './support/frames.js';
import { recorder } from './support/recorder.js';

const ESC = '\u001b';
/** Clears the screen, names the window, goes up a line, is an 8-bit CSI, turns text around, ends the line. */
const EVIL = `${ESC}[2J${ESC}]0;x\u0007${ESC}[1A\u009b31m\u202e\r\nnode9  Ready`;
const SHOWN = '\\x1b[2J\\x1b]0;x\\x07\\x1b[1A\\x9b31m\\u202e\\x0d\\x0anode9  Ready';

/** Any text, with more control characters in it than chance would bring. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(
        ESC,
        '\u009b',
        '\u007f',
        '\r',
        '\n',
        '\t',
        '\u0000',
        '\u2028',
        '\u202e',
        '[2J',
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

/** Whether a terminal would obey anything in it but line feeds and tabs. */
function obeys(text: string): boolean {
  return showControls(text, '\n\t') !== text;
}

function layout(text: string): string {
  return text.replace(/[^\n\t]/g, '');
}

/** The same object with every string in it from `text`; numbers and shape stay. */
function filled<T>(value: T, text: () => string): T {
  if (typeof value === 'string') return text() as T;
  if (Array.isArray(value)) return value.map((each) => filled(each, text)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, filled(each, text)]),
  ) as T;
}

const NODE = {
  ID: 'id',
  Version: { Index: 1 },
  CreatedAt: '2026-01-01T00:00:00.000Z',
  UpdatedAt: '2026-01-01T00:00:00.000Z',
  Spec: { Name: 'n', Labels: { a: '1' }, Role: 'manager', Availability: 'active' },
  Description: {
    Hostname: 'h',
    Platform: { OS: 'linux', Architecture: 'x86_64' },
    Resources: { NanoCPUs: 2e9, MemoryBytes: 2 ** 30 },
    Engine: { EngineVersion: '1' },
    TLSInfo: { TrustRoot: 'root' },
    Runtime: 'process',
    MeshBackend: 'nftables',
  },
  Status: { State: 'ready', Addr: '192.0.2.1', Message: 'm' },
  ManagerStatus: { Leader: false, Reachability: 'reachable', Addr: '192.0.2.1:2377' },
};
const SERVICE = {
  ID: 's',
  Version: { Index: 1 },
  CreatedAt: '2026-01-01T00:00:00.000Z',
  AllocationError: 'none',
  Spec: {
    Name: 'web',
    Labels: { a: '1' },
    Mode: { Replicated: { Replicas: 1 } },
    UpdateConfig: { Parallelism: 1, FailureAction: 'pause', Order: 'start-first' },
    TaskTemplate: {
      Placement: { Constraints: ['c'], Preferences: [{ Spread: { SpreadDescriptor: 'd' } }] },
      ContainerSpec: {
        Image: 'i',
        Command: ['c'],
        Args: ['a'],
        Env: ['e=1'],
        Dir: '/d',
        User: 'u',
        CapabilityAdd: ['x'],
        Sysctls: { a: 'b' },
        Ulimits: [{ Name: 'n', Soft: 1, Hard: 2 }],
        Mounts: [{ Target: '/t', Source: 's', Type: 'bind' }],
        Healthcheck: { Test: ['CMD', 'x'] },
      },
    },
    EndpointSpec: { Mode: 'vip' },
  },
  Endpoint: {
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'ingress' }],
  },
  UpdateStatus: { State: 'updating', Message: 'm' },
  ServiceStatus: { RunningTasks: 1, DesiredTasks: 1, CompletedTasks: 0 },
};
const TASK = {
  ID: 't',
  ServiceID: 's',
  ServiceName: 'web',
  NodeID: 'id',
  Slot: 1,
  CreatedAt: '2026-01-01T00:00:00.000Z',
  DesiredState: 'running',
  Spec: { ContainerSpec: { Image: 'i' } },
  Status: {
    State: 'failed',
    Timestamp: '2026-01-01T00:00:00.000Z',
    Err: 'e',
    PortStatus: {
      Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 80, PublishMode: 'host' }],
    },
  },
};
const INFO = {
  Name: 'h',
  ServerVersion: '1',
  OperatingSystem: 'linux',
  Architecture: 'x86_64',
  Swarm: {
    NodeID: 'id',
    NodeAddr: 'a',
    LocalNodeState: 'active',
    ControlAvailable: true,
    Error: 'e',
    RemoteManagers: [{ Addr: 'a' }],
    Cluster: {
      ID: 'c',
      TLSInfo: { TrustRoot: 'root' },
      Spec: { Orchestration: {}, Raft: {}, Dispatcher: {}, CAConfig: {} },
    },
    Warnings: ['w'],
  },
};

function daemon(text: () => string): Answers {
  const fill = <T extends object>(value: T) => filled(value, text);
  return {
    'GET /info': fill(INFO),
    'GET /version': fill({ Version: '1', ApiVersion: '1', MinAPIVersion: '1' }),
    'GET /nodes': [fill(NODE), fill(NODE)],
    'GET /nodes/n': fill(NODE),
    'GET /services': [fill(SERVICE)],
    'GET /services/s': { ...fill(SERVICE), ID: 's' },
    'GET /tasks': [fill(TASK), fill(TASK)],
    'GET /nodes/gone': { status: 404, message: text() },
  };
}

const COMMANDS = [
  ['node', 'ls'],
  ['node', 'ls', '-q'],
  ['node', 'ls', '--format', '{{.Hostname}}'],
  ['node', 'ls', '--format', 'table {{.Hostname}}\\t{{.Status}}'],
  ['node', 'ls', '--format', 'json'],
  ['node', 'inspect', 'n'],
  ['node', 'inspect', '--pretty', 'n'],
  ['node', 'inspect', '--format', '{{.Description.Hostname}} {{json .Spec}}', 'n'],
  ['node', 'inspect', '--format', '{{.}}{{range $k, $v := .Spec.Labels}}{{$k}}{{$v}}{{end}}', 'n'],
  ['node', 'inspect', '--format', '{{.CreatedAt}}{{.CreatedAt.Format "2006"}}', 'n'],
  ['node', 'inspect', 'gone'],
  ['service', 'ls'],
  ['service', 'ls', '-q'],
  ['service', 'ls', '--format', 'raw'],
  ['service', 'ls', '--format', 'table {{printf "%s|%-9q" .Name .Image}}\\t{{upper .Ports}}'],
  ['service', 'ps', '-q', 's'],
  ['service', 'inspect', '--pretty', 's'],
  ['service', 'inspect', 's'],
  ['service', 'inspect', '--format', '{{join .Spec.TaskTemplate.ContainerSpec.Env ","}}', 's'],
  ['service', 'inspect', '--format', '{{print .Spec | html | upper}} {{json .}}', 's'],
  ['service', 'ps', 's'],
  ['service', 'ps', '--no-trunc', '--no-resolve', 's'],
  ['doctor'],
  ['info'],
  ['info', '--format', '{{.Name}}'],
  ['version'],
];

for (const words of COMMANDS) {
  test(`on a terminal '${words.join(' ')}' sends no control character, and no line, of a node’s`, async (t) => {
    const plain = await commandOn(
      t,
      recorder({ isTTY: true }),
      daemon(() => 'x'),
      ...words,
    );
    const evil = await commandOn(
      t,
      recorder({ isTTY: true }),
      daemon(() => EVIL),
      ...words,
    );
    for (const text of [evil.out, evil.err]) t.false(obeys(text), JSON.stringify(text));
    t.is(layout(evil.out), layout(plain.out));
    t.is(layout(evil.err), layout(plain.err));
    t.is(evil.code, plain.code);
  });
}

test('no string in any field of what a daemon sends reaches a terminal as a control character', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...COMMANDS),
      fc.infiniteStream(anyText),
      async (words, stream) => {
        const text = () => stream.next().value as string;
        const { out, err } = await commandOn(t, recorder({ isTTY: true }), daemon(text), ...words);
        return !obeys(out) && !obeys(err);
      },
    ),
    { numRuns: 300 },
  );
  t.pass();
});

test('forms for people have as many lines and tabs whatever the strings are', (t) => {
  const forms = {
    node: (text: () => string) => prettyNode(shown(filled(NODE, text)) as never),
    service: (text: () => string) => prettyService(shown(filled(SERVICE, text)) as never, 0),
    table: (text: () => string) =>
      table(
        ['A', 'B'],
        [
          [text(), text()],
          [text(), text()],
        ],
      ),
  };
  for (const form of Object.values(forms)) {
    const usual = layout(form(() => 'x'));
    fc.assert(
      fc.property(fc.infiniteStream(anyText), (stream) => {
        const made = form(() => stream.next().value || 'x');
        return !obeys(made) && layout(made) === usual;
      }),
    );
  }
  t.pass();
});

test('columns are as wide as what is shown', (t) => {
  t.is(table(['A', 'B'], [['\n\n\n', 'b']]), 'A              B\n\\x0a\\x0a\\x0a   b');
});

test('JSON means the same, and has no character that a terminal obeys', (t) => {
  t.is(jsonText({ a: '\u009b\u2028\u007fé😀' }), '{"a":"\\u009b\\u2028\\u007fé😀"}');
  fc.assert(
    fc.property(
      fc.dictionary(anyText, anyText),
      fc.constantFrom(undefined, 4),
      (object, indent) => {
        const text = jsonText(object, indent);
        t.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(object)));
        return !obeys(text) && escapeJson(text) === text;
      },
    ),
  );
});

test('a pipe gets a template’s fields as they are; tables and JSON are safe there too', async (t) => {
  const answers = daemon(() => EVIL);
  const raw = await command(t, answers, 'node', 'inspect', '-f', '{{.Description.Hostname}}', 'n');
  t.is(raw.out, `${EVIL}\n`);
  const rows = await command(t, answers, 'node', 'ls');
  t.true(rows.out.includes(SHOWN));
  t.false(obeys(rows.out));
  const json = await command(t, answers, 'node', 'inspect', 'n');
  t.false(obeys(json.out));
  t.is(JSON.parse(json.out)[0].Description.Hostname, EVIL);
});

test('an error of the daemon is one line', async (t) => {
  const { err } = await command(
    t,
    daemon(() => EVIL),
    'node',
    'inspect',
    'gone',
  );
  t.is(err, `Error response from daemon: ${SHOWN}\n`);
});

const DETAILS = 'com.docker.swarm.node.id=id,com.docker.swarm.task.id=t';

function logs(t: ExecutionContext, isTTY: boolean, line: string | Buffer, ...flags: string[]) {
  const sent = Buffer.concat([
    Buffer.from(flags.includes('--raw') ? '' : `${DETAILS} `),
    Buffer.from(line),
  ]);
  const answers = {
    ...daemon(() => 'web'),
    'GET /nodes': [{ ...NODE, ID: 'id', Description: { Hostname: `h\n${ESC}[2J` } }],
    'GET /services/s/logs': frame(1, sent),
  };
  return commandOn(t, recorder({ isTTY }), answers, 'service', 'logs', ...flags, 's');
}

test('of a log line a terminal gets text, tabs and colours, which end with the line', async (t) => {
  const { out } = await logs(t, true, `a\t${ESC}[1;31mred${ESC}[2K\rb${ESC}]0;x\u0007\n`);
  t.is(out, `t@h\\x0a\\x1b[2J    | a\t${ESC}[1;31mred\\x1b[2K\\x0db\\x1b]0;x\\x07${ESC}[0m\n`);
});

test('a pipe gets a log line byte for byte', async (t) => {
  const bytes = Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xff, 0xfe, 0x0a]);
  const output = recorder();
  const kept: Buffer[] = [];
  const answers = { ...daemon(() => 'web'), 'GET /services/s/logs': frame(1, bytes) };
  await commandOn(
    t,
    { ...output, out: '', err: '', write: (chunk) => kept.push(Buffer.from(chunk)) },
    answers,
    ...['service', 'logs', '--raw', 's'],
  );
  t.deepEqual(Buffer.concat(kept), bytes);
});

test('what tasks wrote is shown the same however it is cut', (t) => {
  const said = Buffer.from(`zwölf${ESC}[31m rot\r\n${ESC}[0;1mfett${ESC}[3A\rweg\r\n😀${ESC}`);
  const whole = new TaskOutput();
  const expected = whole.push(said) + whole.end();
  t.is(
    expected,
    `zwölf${ESC}[31m rot${ESC}[0m\r\n${ESC}[0;1mfett\\x1b[3A\\x0dweg${ESC}[0m\r\n😀\\x1b`,
  );
  for (let size = 1; size < said.length; size += 1) {
    const cut = new TaskOutput();
    let text = '';
    for (let at = 0; at < said.length; at += size) text += cut.push(said.subarray(at, at + size));
    t.is(text + cut.end(), expected, `${size} bytes at a time`);
  }
});

test('nothing a task writes makes a terminal do more than colour a line', (t) => {
  fc.assert(
    fc.property(fc.array(fc.oneof(anyText, fc.uint8Array({ maxLength: 8 }))), (pieces) => {
      const output = new TaskOutput();
      const text = pieces.map((piece) => output.push(piece)).join('') + output.end();
      const uncoloured = text.replaceAll(new RegExp(`${ESC}\\[[\\d;:]{0,32}m`, 'g'), '');
      return !obeys(uncoloured.replaceAll('\r\n', '\n'));
    }),
  );
  t.pass();
});

test('nothing but the one output, and the daemon’s log, writes to the terminal', (t) => {
  const packages = resolve(import.meta.dirname, '../../..');
  const writers = ['cli/src', 'node/src']
    .flatMap((folder) =>
      readdirSync(join(packages, folder), { recursive: true, encoding: 'utf8' }).map((file) =>
        join(folder, file),
      ),
    )
    .filter((file) => file.endsWith('.ts'))
    .filter((file) =>
      /\bconsole\.|process\.(stdout|stderr)|writeSync\(\s*[12]\b|\bfd: [12]\b|\/dev\/(tty|std)/.test(
        readFileSync(join(packages, file), 'utf8'),
      ),
    );
  t.deepEqual(writers.sort(), ['cli/src/main.ts', 'node/src/daemon/logger.ts']);
});
