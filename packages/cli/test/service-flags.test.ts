import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceSpec } from '@swarm/api';
import test from 'ava';
import { UsageError } from '../src/command.js';
import { CREATE_FLAGS, createSpec } from '../src/flags/service-create.js';
import { UPDATE_FLAGS, updateSpec } from '../src/flags/service-update.js';
import { serviceArguments } from './support/args.js';

const ENV = { OURS: 'mine' };
const create = (...argv: string[]) =>
  createSpec(serviceArguments('create', [...argv, 'image']), ENV);
const container = (fields: object) => ({ TaskTemplate: { ContainerSpec: fields } });
const task = (fields: object) => ({ TaskTemplate: fields });
const SECOND = 1e9;

/** Flags that steer the command and are in no spec. */
const NOT_IN_SPEC = ['detach', 'quiet', 'no-resolve-image', 'with-registry-auth'];

/** Flags with the same meaning on create and update, and what they give. */
const COMMON: readonly (readonly [readonly string[], object])[] = [
  [['--affinity', 'client'], { EndpointSpec: { Affinity: 'client' } }],
  [['--traffic-policy', 'prefer-local'], { EndpointSpec: { TrafficPolicy: 'prefer-local' } }],
  [['--revision-weight', '10'], { EndpointSpec: { RevisionWeight: 10 } }],
  [['--endpoint-mode', 'dnsrr'], { EndpointSpec: { Mode: 'dnsrr' } }],
  [['--entrypoint', 'sh -c "a b"'], container({ Command: ['sh', '-c', 'a b'] })],
  [['--health-cmd', 'true'], container({ Healthcheck: { Test: ['CMD-SHELL', 'true'] } })],
  [['--health-interval', '2s'], container({ Healthcheck: { Interval: 2 * SECOND } })],
  [['--health-retries', '3'], container({ Healthcheck: { Retries: 3 } })],
  [['--health-start-interval', '1s'], container({ Healthcheck: { StartInterval: SECOND } })],
  [['--health-start-period', '1s'], container({ Healthcheck: { StartPeriod: SECOND } })],
  [['--health-timeout', '1s'], container({ Healthcheck: { Timeout: SECOND } })],
  [['--hostname', 'h'], container({ Hostname: 'h' })],
  [['--init'], container({ Init: true })],
  [['--init=false'], container({ Init: false })],
  [['--limit-cpu', '1.5'], task({ Resources: { Limits: { NanoCPUs: 15e8 } } })],
  [['--limit-memory', '64m'], task({ Resources: { Limits: { MemoryBytes: 67108864 } } })],
  [['--limit-pids', '9'], task({ Resources: { Limits: { Pids: 9 } } })],
  [['--log-driver', 'json-file'], task({ LogDriver: { Name: 'json-file' } })],
  [
    ['--log-opt', 'a=b=c', '--log-opt', 'd=e'],
    task({ LogDriver: { Options: { a: 'b=c', d: 'e' } } }),
  ],
  [['--no-healthcheck'], container({ Healthcheck: { Test: ['NONE'] } })],
  [['--oom-score-adj', '-500'], container({ OomScoreAdj: -500 })],
  [['--read-only'], container({ ReadOnly: true })],
  [['--replicas', '4'], { Mode: { Replicated: { Replicas: 4 } } }],
  [['--replicas-max-per-node', '2'], task({ Placement: { MaxReplicas: 2 } })],
  [['--reserve-cpu', '0.5'], task({ Resources: { Reservations: { NanoCPUs: 5e8 } } })],
  [['--reserve-memory', '1g'], task({ Resources: { Reservations: { MemoryBytes: 2 ** 30 } } })],
  [['--restart-condition', 'on-failure'], task({ RestartPolicy: { Condition: 'on-failure' } })],
  [['--restart-delay', '1s'], task({ RestartPolicy: { Delay: SECOND } })],
  [['--restart-max-attempts', '3'], task({ RestartPolicy: { MaxAttempts: 3 } })],
  [['--restart-window', '1m'], task({ RestartPolicy: { Window: 60 * SECOND } })],
  ...(['update', 'rollback'] as const).flatMap((kind) => {
    const config = (fields: object) => ({
      [kind === 'update' ? 'UpdateConfig' : 'RollbackConfig']: fields,
    });
    return [
      [[`--${kind}-delay`, '2s'], config({ Parallelism: 1, Delay: 2 * SECOND })],
      [[`--${kind}-failure-action`, 'continue'], config({ FailureAction: 'continue' })],
      [[`--${kind}-max-failure-ratio`, '0.5'], config({ MaxFailureRatio: 0.5 })],
      [[`--${kind}-monitor`, '1s'], config({ Monitor: SECOND })],
      [[`--${kind}-order`, 'start-first'], config({ Order: 'start-first' })],
      [[`--${kind}-parallelism`, '0'], config({ Parallelism: 0 })],
    ] as const;
  }),
  [['--stop-grace-period', '3s'], container({ StopGracePeriod: 3 * SECOND })],
  [['--stop-signal', 'SIGINT'], container({ StopSignal: 'SIGINT' })],
  [['--tty'], container({ TTY: true })],
  [['--user', '1000:1000'], container({ User: '1000:1000' })],
  [['--workdir', '/w'], container({ Dir: '/w' })],
];

const CREATE: readonly (readonly [readonly string[], object])[] = [
  [
    ['--allow', 'db:80'],
    { EndpointSpec: { Allow: [{ From: 'db', Ports: [{ Protocol: 'tcp', Port: 80 }] }] } },
  ],
  [['--cap-add', 'NET_ADMIN'], container({ CapabilityAdd: ['NET_ADMIN'] })],
  [['--cap-drop', 'ALL'], container({ CapabilityDrop: ['ALL'] })],
  [['--network', 'host'], task({ Networks: [{ Target: 'host' }] })],
  [
    ['--network', 'name=front,alias=a,driver-opt=k=v'],
    task({ Networks: [{ Target: 'front', Aliases: ['a'], DriverOpts: { k: 'v' } }] }),
  ],
  [
    ['--constraint', 'node.role==worker'],
    task({ Placement: { Constraints: ['node.role==worker'] } }),
  ],
  [['--container-label', 'a=b'], container({ Labels: { a: 'b' } })],
  [['--dns', '1.1.1.1'], container({ DNSConfig: { Nameservers: ['1.1.1.1'] } })],
  [['--dns-option', 'o'], container({ DNSConfig: { Options: ['o'] } })],
  [['--dns-search', 's'], container({ DNSConfig: { Search: ['s'] } })],
  [['-e', 'A=1', '--env', 'OURS'], container({ Env: ['A=1', 'OURS=mine'] })],
  [['--group', 'g'], container({ Groups: ['g'] })],
  [['--host', 'a:1.2.3.4'], container({ Hosts: ['1.2.3.4 a'] })],
  [['-l', 'a=b'], { Labels: { a: 'b' } }],
  [['--mode', 'global'], { Mode: { Global: {} } }],
  [['--mode', 'global-job'], { Mode: { GlobalJob: {} } }],
  [
    ['--mode', 'replicated-job', '--replicas', '9', '--max-concurrent', '2'],
    { Mode: { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 9 } } },
  ],
  [
    ['--mode', 'replicated-job', '--replicas', '9'],
    { Mode: { ReplicatedJob: { MaxConcurrent: 9, TotalCompletions: 9 } } },
  ],
  [['--mount', 'type=tmpfs,target=/t'], container({ Mounts: [{ Type: 'tmpfs', Target: '/t' }] })],
  [['--name', 'web'], { Name: 'web' }],
  [
    ['--placement-pref', 'spread=node.labels.x'],
    task({ Placement: { Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.x' } }] } }),
  ],
  [
    ['-p', '80:8080'],
    {
      EndpointSpec: {
        Ports: [{ Protocol: 'tcp', TargetPort: 8080, PublishedPort: 80, PublishMode: 'ingress' }],
      },
    },
  ],
  [['--sysctl', 'a.b=1'], container({ Sysctls: { 'a.b': '1' } })],
  [['--ulimit', 'nofile=1:2'], container({ Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }] })],
];

for (const [argv, expected] of [...COMMON, ...CREATE]) {
  test(`service create ${argv.join(' ')}`, (t) => {
    t.like(create(...argv), expected as never);
  });
}

const named = (table: readonly (readonly [readonly string[], object])[], flags: object) => {
  const letters = Object.fromEntries(
    Object.entries(flags).map(([name, { short }]) => [`-${short}`, name]),
  );
  return table.flatMap(([argv]) =>
    argv
      .filter((word) => /^--?[a-z]/.test(word))
      .map((word) => letters[word] ?? word.slice(2).split('=')[0]!),
  );
};

test('every flag of service create is in the table above', (t) => {
  const shown = new Set([
    ...named([...COMMON, ...CREATE], CREATE_FLAGS),
    ...NOT_IN_SPEC,
    'env-file',
  ]);
  t.deepEqual(
    Object.keys(CREATE_FLAGS).filter((flag) => !shown.has(flag)),
    [],
  );
});

test('service create without flags asks for one replica and leaves the rest to the daemon', (t) => {
  t.deepEqual(create(), {
    Name: '',
    Labels: {},
    TaskTemplate: { ContainerSpec: { Image: 'image' }, ForceUpdate: 0 },
    Mode: { Replicated: { Replicas: 1 } },
  });
});

test('what follows the image is its command, flags included', (t) => {
  const spec = createSpec(serviceArguments('create', ['host', 'ls', '-d', '--name', 'x']), {});
  t.deepEqual(spec.TaskTemplate.ContainerSpec, {
    Image: 'host',
    Args: ['ls', '-d', '--name', 'x'],
  });
  t.is(spec.Name, '');
});

test('variables of a file come before those of the command line', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-env-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'env');
  writeFileSync(file, '# comment\n\nA=1\n  B=2 \nOURS\n');
  const spec = create('--env', 'A=3', '--env-file', file);
  t.deepEqual(spec.TaskTemplate.ContainerSpec?.Env, ['A=1', 'B=2 ', 'OURS=mine', 'A=3']);
});

test('a file of variables that cannot be read says which, and in which line', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-env-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'env');
  const refused = (content: string | Uint8Array, message: string) => {
    writeFileSync(file, content);
    t.throws(() => create('--env-file', file), {
      ...{ instanceOf: UsageError, message: `--env-file ${file}${message}` },
    });
  };
  refused('A=1\n=2\n', ", line 2: no name before '='");
  refused('A=1\n\nB C=2\n', ", line 3: blanks in the name 'B C': use NAME=VALUE");
  refused(Buffer.from([0xff, 0xfe]), ': is not text in UTF-8');
  refused(Buffer.alloc(1024 * 1024 + 1, 'a'), ': is larger than 1024 KiB');
  t.throws(() => create('--env-file', join(folder, 'none')), { message: /none: no such file/ });
  t.throws(() => create('--env-file', folder), { message: /: is a folder, not a file$/ });
  // It never ends.
  t.throws(() => create('--env-file', '/dev/zero'), { message: /larger than 1024 KiB/ });
  writeFileSync(file, '\ufeffA=1\r\nB=x y\n');
  t.deepEqual(create('--env-file', file).TaskTemplate.ContainerSpec?.Env, ['A=1', 'B=x y']);
});

const REFUSED: readonly (readonly [readonly string[], RegExp])[] = [
  [
    ['--mode', 'x'],
    /invalid argument 'x' for --mode: use replicated, global, replicated-job, global-job/,
  ],
  [['--mode', 'global', '--replicas', '2'], /replicas can only be used with replicated/],
  [['--mode', 'global-job', '--replicas', '2'], /replicas can only be used with replicated/],
  [['--max-concurrent', '2'], /max-concurrent can only be used with replicated-job/],
  [['--mode', 'global-job', '--update-delay', '1s'], /--update-delay cannot be used with a job/],
  [['--no-healthcheck', '--health-cmd', 'x'], /--no-healthcheck conflicts/],
  [['--update-order', 'x'], /use start-first, stop-first/],
  [['--rollback-failure-action', 'rollback'], /use pause, continue/],
  [['--restart-condition', 'always'], /use none, on-failure, any/],
  [['--restart-max-attempts', '-1'], /use a whole number/],
  [['--oom-score-adj', 'x'], /use a number/],
];
for (const [argv, message] of REFUSED) {
  test(`refused: service create ${argv.join(' ')}`, (t) => {
    t.throws(() => create(...argv), { instanceOf: UsageError, message });
  });
}

for (const flag of ['secret', 'config', 'credential-spec', 'memory-swap', 'isolation']) {
  test(`service create --${flag} is refused by name`, (t) => {
    t.throws(() => create(`--${flag}`, 'x'), { message: new RegExp(`--${flag} is not supported`) });
  });
}

const PORT = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 8080,
  PublishMode: 'ingress',
} as const;
const OLD: ServiceSpec = {
  Name: 'web',
  Labels: { keep: '1', drop: '1' },
  TaskTemplate: {
    ContainerSpec: {
      Image: 'old',
      Args: ['old'],
      Env: ['KEEP=1', 'DROP=1'],
      Labels: { keep: '1', drop: '1' },
      Sysctls: { keep: '1', drop: '1' },
      Groups: ['keep', 'drop'],
      Hosts: ['1.1.1.1 keep', '2.2.2.2 drop'],
      Mounts: [
        { Type: 'tmpfs', Target: '/keep' },
        { Type: 'tmpfs', Target: '/drop' },
      ],
      Ulimits: [
        { Name: 'keep', Soft: 1, Hard: 1 },
        { Name: 'drop', Soft: 1, Hard: 1 },
      ],
      CapabilityAdd: ['KEEP'],
      CapabilityDrop: ['GONE'],
      DNSConfig: {
        Nameservers: ['keep', 'drop'],
        Options: ['keep', 'drop'],
        Search: ['keep', 'drop'],
      },
    },
    Placement: {
      Constraints: ['keep==1', 'drop==1'],
      Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.drop' } }],
    },
    Networks: [{ Target: 'none' }],
    ForceUpdate: 7,
  },
  Mode: { Replicated: { Replicas: 2 } },
  EndpointSpec: {
    Mode: 'vip',
    Ports: [PORT, { ...PORT, TargetPort: 81, PublishedPort: 8081 }],
    Allow: [{ From: 'keep' }, { From: 'drop' }],
  },
};
const update = (old: ServiceSpec, ...argv: string[]) =>
  updateSpec(serviceArguments('update', [...argv, 'web']), old, ENV);
/** Both halves of a list flag: `-rm` takes one out, `-add` puts one in. */
const list = (flag: string, gone: string, added: string) => [
  ...[`--${flag}-rm`, gone],
  ...[`--${flag}-add`, added],
];

const UPDATE: readonly (readonly [readonly string[], object])[] = [
  [
    ['--allow', 'any:80', '--allow-rm', 'drop'],
    {
      EndpointSpec: {
        Allow: [{ From: 'keep' }, { From: 'any', Ports: [{ Protocol: 'tcp', Port: 80 }] }],
      },
    },
  ],
  [['--args', '--verbose -x'], container({ Args: ['--verbose', '-x'] })],
  [
    ['--cap-add', 'GONE', '--cap-drop', 'KEEP'],
    container({ CapabilityAdd: ['GONE'], CapabilityDrop: ['KEEP'] }),
  ],
  [['--force'], task({ ForceUpdate: 8 })],
  [['--image', 'new'], container({ Image: 'new' })],
  [
    list('constraint', 'drop==1', 'new==1'),
    task({ Placement: { Constraints: ['keep==1', 'new==1'] } }),
  ],
  [list('container-label', 'drop', 'new=2'), container({ Labels: { keep: '1', new: '2' } })],
  [list('dns', 'drop', 'new'), container({ DNSConfig: { Nameservers: ['keep', 'new'] } })],
  [list('dns-option', 'drop', 'new'), container({ DNSConfig: { Options: ['keep', 'new'] } })],
  [list('dns-search', 'drop', 'new'), container({ DNSConfig: { Search: ['keep', 'new'] } })],
  [list('env', 'DROP', 'NEW=2'), container({ Env: ['KEEP=1', 'NEW=2'] })],
  [['--env-add', 'KEEP=2'], container({ Env: ['KEEP=2', 'DROP=1'] })],
  [list('group', 'drop', 'new'), container({ Groups: ['keep', 'new'] })],
  [
    list('host', 'drop:2.2.2.2', 'new:3.3.3.3'),
    container({ Hosts: ['1.1.1.1 keep', '3.3.3.3 new'] }),
  ],
  [list('label', 'drop', 'new=2'), { Labels: { keep: '1', new: '2' } }],
  [
    list('mount', '/drop', 'type=tmpfs,target=/new'),
    container({ Mounts: [{ Target: '/keep' }, { Target: '/new' }] }),
  ],
  [
    list('placement-pref', 'spread=node.labels.drop', 'spread=node.labels.new'),
    task({ Placement: { Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.new' } }] } }),
  ],
  [list('publish', '81', '90:90'), { EndpointSpec: { Ports: [PORT, { PublishedPort: 90 }] } }],
  [list('network', 'none', 'host'), task({ Networks: [{ Target: 'host' }] })],
  [list('sysctl', 'drop', 'new=2'), container({ Sysctls: { keep: '1', new: '2' } })],
  [list('ulimit', 'drop', 'new=2'), container({ Ulimits: [{ Name: 'keep' }, { Name: 'new' }] })],
];

for (const [argv, expected] of [...COMMON, ...UPDATE]) {
  test(`service update ${argv.join(' ')}`, (t) => {
    const spec = update(OLD, ...argv);
    t.like(spec, expected as never);
    t.is(spec.Name, 'web');
  });
}

test('what service update removes is gone', (t) => {
  const spec = update(
    OLD,
    ...['--label-rm', 'drop', '--container-label-rm', 'drop', '--sysctl-rm', 'drop'],
    ...['--env-rm', 'DROP', '--group-rm', 'drop', '--host-rm', 'drop', '--mount-rm', '/drop'],
    ...['--ulimit-rm', 'drop', '--publish-rm', '8081:81', '--constraint-rm', 'drop==1'],
    ...['--dns-rm', 'drop', '--dns-option-rm', 'drop', '--dns-search-rm', 'drop'],
    ...['--placement-pref-rm', 'spread=node.labels.drop', '--allow-rm', 'drop'],
  );
  t.notRegex(JSON.stringify(spec), /\bdrop/i);
  t.deepEqual(spec.EndpointSpec?.Ports, [PORT]);
  t.deepEqual(spec.TaskTemplate.Placement?.Preferences, []);
});

test('service update without flags changes nothing', (t) => {
  t.deepEqual(update(OLD), OLD);
});

test('every flag of service update is in a table above', (t) => {
  const shown = new Set([
    ...named([...COMMON, ...UPDATE], UPDATE_FLAGS),
    ...NOT_IN_SPEC,
    // Tested below, and with the command.
    ...['max-concurrent', 'resume', 'rollback'],
  ]);
  t.deepEqual(
    Object.keys(UPDATE_FLAGS).filter((flag) => !shown.has(flag)),
    [],
  );
});

test('a job is updated in its own terms', (t) => {
  const job = { ...OLD, Mode: { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 2 } } };
  t.deepEqual(update(job, '--max-concurrent', '3', '--replicas', '9').Mode, {
    ReplicatedJob: { MaxConcurrent: 3, TotalCompletions: 9 },
  });
  t.throws(() => update(OLD, '--max-concurrent', '3'), { message: /replicated-job/ });
  t.throws(() => update({ ...OLD, Mode: { Global: {} } }, '--replicas', '3'), {
    message: /replicas can only be used/,
  });
});
