import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import test from 'ava';
import { command } from './support/fake-daemon.js';
import { SERVICE_DATA } from './template/service-fixture.js';

const NODE = {
  ID: 'smnpwahy0vro1wovhighkk0w2',
  Version: { Index: 9 },
  CreatedAt: '2026-11-23T17:06:33.626327352Z',
  Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
  Description: {
    Hostname: 'vm',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 2000000000, MemoryBytes: 25274793984 },
    Engine: { EngineVersion: '20.10.24', Plugins: [{ Type: 'Log', Name: 'local' }] },
    TLSInfo: { TrustRoot: 'PEM', CertIssuerSubject: 'MBMx', CertIssuerPublicKey: 'MFkw' },
    Runtime: 'process',
  },
  Status: { State: 'ready', Addr: '10.99.0.1', Protocol: 2 },
  ManagerStatus: { Leader: true, Reachability: 'reachable', Addr: '10.99.0.1:2377' },
};
const OLD = {
  ...NODE,
  ID: 'old',
  Description: { ...NODE.Description, TLSInfo: { ...NODE.Description.TLSInfo, TrustRoot: 'X' } },
  ManagerStatus: undefined,
};
const SILENT = {
  ...NODE,
  ID: 'silent',
  Description: { ...NODE.Description, TLSInfo: undefined },
  ManagerStatus: undefined,
};
const INFO = {
  ID: 'x',
  NCPU: 2,
  HttpProxy: 'proxy',
  CpuCfsPeriod: true,
  DriverStatus: [['a', 'b']],
  Swarm: {
    NodeID: NODE.ID,
    LocalNodeState: 'active',
    RemoteManagers: [{ NodeID: 'n', Addr: '10.99.0.1:2377' }],
    Cluster: {
      TLSInfo: NODE.Description.TLSInfo,
      Spec: {
        Dispatcher: { HeartbeatPeriod: 5e9 },
        Orchestration: { TaskHistoryRetentionLimit: 5 },
      },
    },
  },
};
const TASK = {
  ID: 'task1aaaaaaaaaaaaaaaaaaaa',
  ServiceID: SERVICE_DATA.ID,
  ServiceName: 'web',
  NodeID: NODE.ID,
  Slot: 1,
  CreatedAt: '2026-01-01T00:00:00Z',
  DesiredState: 'running',
  Spec: { ContainerSpec: { Image: 'nginx:1' } },
  Status: { State: 'running', Timestamp: '2026-01-01T00:00:00Z' },
};
const ANSWERS = {
  'GET /nodes': [NODE, OLD, SILENT],
  'GET /nodes/n': NODE,
  [`GET /nodes/${NODE.ID}`]: NODE,
  'GET /info': INFO,
  'GET /services': [SERVICE_DATA],
  'GET /services/web': SERVICE_DATA,
  'GET /services/absent': { status: 404, message: 'service absent not found' },
  'GET /x/services/web/history': [],
  'GET /tasks': [TASK],
  'GET /version': { Version: '1.2', ApiVersion: '1.50', MinAPIVersion: '1.24' },
};

/** Every command with `--format`. */
const COMMANDS: readonly (readonly string[])[] = [
  ['node', 'ls'],
  ['node', 'ps', 'n'],
  ['node', 'inspect', 'n'],
  ['service', 'ls'],
  ['service', 'ps', 'web'],
  ['service', 'history', 'web'],
  ['service', 'inspect', 'web'],
  ['info'],
  ['version'],
];

for (const words of COMMANDS) {
  test(`'${words.join(' ')}' refuses what is no template before it asks the daemon`, async (t) => {
    const done = await command(t, ANSWERS, ...words, '--format', '{{.Spec');
    t.is(done.code, 1);
    t.is(done.out, '');
    t.is(
      done.err,
      'invalid --format: line 1, column 8: expected }} to close the action that begins at line 1, column 1\n',
    );
    t.deepEqual(done.asked, []);
  });

  test(`'${words.join(' ')}' names a field that does not exist, and what there is`, async (t) => {
    const done = await command(t, ANSWERS, ...words, '--format', 'x {{.Nope}}');
    t.is(done.code, 1);
    t.is(done.out, '');
    t.regex(
      done.err,
      /^(?:(?:invalid|cannot apply) --format: line 1, column 5: no field 'Nope' in '\.Nope': .+ has \w+, \w+.*\n)+$/,
    );
  });
}

const PRINTED: readonly (readonly [command: readonly string[], format: string, out: string])[] = [
  [
    ['node', 'ls'],
    '{{.ID}} {{.TLSStatus}}',
    `${NODE.ID} Ready\nold Needs Rotation\nsilent Unknown\n`,
  ],
  [
    ['node', 'ls'],
    '{{.Hostname}}{{if .Self}}*{{end}} {{.ManagerStatus}}',
    'vm* Leader\nvm \nvm \n',
  ],
  [
    ['node', 'ls'],
    'table {{.ID}}\\t{{.Self}}\\t{{.TLSStatus}}\\t{{.EngineVersion}}',
    [
      'ID                                    TLS STATUS       ENGINE VERSION',
      'smnpwahy0vro1wovhighkk0w2   true      Ready            20.10.24',
      'old                         false     Needs Rotation   20.10.24',
      'silent                      false     Unknown          20.10.24',
      '',
    ].join('\n'),
  ],
  [
    ['service', 'ls'],
    'raw',
    'id: 1gax6h9nflca\nname: web\nmode: replicated\nreplicas: \nimage: nginx:1\nports: *:8080->80/tcp\n\n',
  ],
  [
    ['service', 'ls', '-q'],
    'table {{.Name}}\\t{{.Mode | upper}}',
    'NAME      MODE\nweb       REPLICATED\n',
  ],
  [['service', 'ps', 'web'], '{{.Name}} {{lower .DesiredState}} {{.Ports}}|', 'web.1 running |\n'],
  [['node', 'ps', '-q', 'n'], 'raw', 'id: task1aaaaaaa\n'],
  [
    ['service', 'inspect', 'web'],
    '{{json .UpdateStatus}} {{.UpdateStatus}} {{if .UpdateStatus}}yes{{else}}no{{end}}',
    'null <nil> no\n',
  ],
  // As docker prints it: fields of ours are not part of a whole struct.
  [
    ['node', 'inspect', 'n'],
    '{{.Status}}|{{.Spec}}|{{.ManagerStatus}}|{{.Description.Platform}}|{{.Description.Resources}}|{{.Status.Protocol}}',
    '{ready  10.99.0.1}|{{ map[]} manager active}|{true reachable 10.99.0.1:2377}|{x86_64 linux}|{2000000000 25274793984 []}|2\n',
  ],
  [
    ['node', 'inspect', 'n'],
    '{{.Description.TLSInfo.CertIssuerSubject}} {{printf "%x" .Description.TLSInfo.CertIssuerSubject}} {{json .Description.Engine.Labels}} {{.Description.Runtime}} {{.Mesh}}',
    '[48 19 49] 301331 null process <nil>\n',
  ],
  [
    ['info'],
    '{{.Swarm.LocalNodeState}} {{.NCPU}} {{.HTTPProxy}} {{.HttpProxy}} {{.CPUCfsPeriod}} {{.DriverStatus}} {{.Swarm.Cluster.Spec.Dispatcher.HeartbeatPeriod}} {{.Images}}',
    'active 2 proxy proxy true [[a b]] 5s 0\n',
  ],
  [
    ['info'],
    '{{range .Swarm.RemoteManagers}}{{.Addr}}{{end}} {{.Swarm.RemoteManagers}}',
    '10.99.0.1:2377 [{n 10.99.0.1:2377}]\n',
  ],
  [
    ['version'],
    '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.ApiVersion}} {{.Server.Experimental}}',
    '1.2 1.50 1.50 false\n',
  ],
];

for (const [words, format, out] of PRINTED) {
  test(`'${words.join(' ')}' prints ${JSON.stringify(format)}`, async (t) => {
    const done = await command(t, ANSWERS, ...words, '--format', format);
    t.is(done.err, '');
    t.is(done.out, out);
    t.is(done.code, 0);
  });
}

test('inspect goes on after what is not found, and what a template cannot be applied to', async (t) => {
  const running = { ...SERVICE_DATA, UpdateStatus: { State: 'updating' } };
  const answers = { ...ANSWERS, 'GET /services/api': running };
  const words = ['service', 'inspect', '-f', '{{.UpdateStatus.State}}', 'absent', 'web', 'api'];
  const done = await command(t, answers, ...words);
  t.is(done.code, 1);
  t.is(done.out, 'updating\n');
  t.is(
    done.err,
    'Error response from daemon: service absent not found\n' +
      "cannot apply --format: line 1, column 16: no field 'State' in '.UpdateStatus.State': UpdateStatus is not set here; {{with}} skips what is not set\n",
  );
});

test('pretty is a format of inspect, alone', async (t) => {
  const pretty = await command(t, ANSWERS, 'node', 'inspect', '--pretty', 'n');
  const format = await command(t, ANSWERS, 'node', 'inspect', '--format', 'pretty', 'n');
  t.is(format.out, pretty.out);
  t.regex(format.out, /^ID:\t\t\tsmnp/);
  const words = ['service', 'inspect', 'web', '--pretty', '--format'];
  t.is((await command(t, ANSWERS, ...words, 'pretty')).code, 0);
  const both = await command(t, ANSWERS, ...words, '{{.ID}}');
  t.is(both.code, 1);
  t.is(both.err, '--format is incompatible with human friendly format: leave out --pretty\n');
  const more = await command(t, ANSWERS, 'node', 'inspect', '--format', 'pretty {{.ID}}', 'n');
  t.is(more.code, 1);
  t.is(more.err, 'cannot supply extra formatting options to the pretty template\n');
});

test('an empty format is none', async (t) => {
  for (const words of COMMANDS) {
    const usual = await command(t, ANSWERS, ...words);
    t.is((await command(t, ANSWERS, ...words, '--format', '')).out, usual.out, words.join(' '));
  }
});

test('no command loads the interpreter before it has a template', (t) => {
  const src = resolve(import.meta.dirname, '..', 'src');
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    const code = readFileSync(file, 'utf8');
    for (const [, path] of code.matchAll(/^(?:import|export)[^;]*?from '(\.[^']+)'/gm))
      visit(join(dirname(file), path!));
  };
  for (const start of ['main.js', 'line/dispatch.js', 'line/parse.js']) visit(join(src, start));
  const loaded = [...seen].map((file) => relative(src, file));
  t.true(loaded.includes('output/format.js'));
  t.deepEqual(
    loaded.filter((file) => /^(?:template|output\/types)\//.test(file)),
    [],
  );
});
