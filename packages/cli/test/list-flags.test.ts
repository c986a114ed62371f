import type { ContainerSpec, ServiceSpec } from '@swarm/api';
import test from 'ava';
import { UsageError } from '../src/command.js';
import { createSpec } from '../src/flags/service-create.js';
import { LIST_FLAGS } from '../src/flags/service-flags.js';
import { UPDATE_FLAGS, updateSpec } from '../src/flags/service-update.js';
import { serviceArguments } from './support/args.js';
import { command, sent } from './support/fake-daemon.js';

const port = (PublishedPort: number | undefined, TargetPort: number, rest: object = {}) => ({
  ...{ Protocol: 'tcp' as const, TargetPort, PublishMode: 'ingress' as const },
  ...(PublishedPort === undefined ? {} : { PublishedPort }),
  ...rest,
});

/** A service with one entry in every list. */
const WEB: ServiceSpec = {
  Name: 'web',
  Labels: { tier: 'front' },
  TaskTemplate: {
    ContainerSpec: {
      Image: 'nginx:1',
      Env: ['MODE=fast', 'KEY=a=b'],
      Labels: { team: 'blue' },
      Sysctls: { 'net.core.somaxconn': '1024' },
      Groups: ['audio'],
      Hosts: ['192.0.2.1 db', '2001:db8::1 db', '192.0.2.2 a b'],
      Mounts: [{ Type: 'volume', Source: 'data', Target: '/var/data' }],
      Ulimits: [{ Name: 'nofile', Soft: 1024, Hard: 2048 }],
      CapabilityAdd: ['CAP_NET_ADMIN'],
      CapabilityDrop: ['CHOWN'],
      DNSConfig: { Nameservers: ['192.0.2.53'], Options: ['ndots:2'], Search: ['Example.org'] },
    },
    Networks: [{ Target: 'bridge' }],
    Placement: {
      Constraints: ['node.role == worker', 'node.labels.Zone!=a'],
      Preferences: [{ Spread: { SpreadDescriptor: 'node.labels.zone' } }],
    },
    ForceUpdate: 0,
  },
  Mode: { Replicated: { Replicas: 1 } },
  EndpointSpec: {
    Mode: 'vip',
    Ports: [port(8080, 20), port(undefined, 443), port(53, 53, { Protocol: 'udp' })],
    Allow: [{ From: 'db' }, { From: 'any', Ports: [{ Protocol: 'tcp', Port: 80 }] }],
  },
};
const update = (...argv: string[]) =>
  updateSpec(serviceArguments('update', [...argv, 'web']), WEB, {}, [port(30001, 443)]);
const create = (...argv: string[]) => createSpec(serviceArguments('create', [...argv, 'x']), {});
const container = (spec: ServiceSpec): ContainerSpec => spec.TaskTemplate.ContainerSpec!;

/** What a removal names, in other words than the spec's; what is left of the list; how to look at it. */
const REMOVED: readonly (readonly [string, string, unknown, (spec: ServiceSpec) => unknown])[] = [
  ['publish', '8080', [443, 53], targets],
  ['publish', '20', [443, 53], targets],
  ['publish', '8080:20/tcp', [443, 53], targets],
  ['publish', 'published=8080', [443, 53], targets],
  ['publish', 'target=20,mode=ingress', [443, 53], targets],
  ['publish', '30001', [20, 53], targets],
  ['publish', '30001:443', [20, 53], targets],
  ['publish', '53/udp', [20, 443], targets],
  ['constraint', 'node.role==worker', ['node.labels.Zone!=a'], constraints],
  ['constraint', ' Node.Role  ==  WORKER ', ['node.labels.Zone!=a'], constraints],
  ['constraint', 'NODE.LABELS.Zone != a', ['node.role == worker'], constraints],
  ['allow', 'db', ['any'], (spec) => spec.EndpointSpec?.Allow?.map(({ From }) => From)],
  ['allow', 'any:80/tcp', ['db'], (spec) => spec.EndpointSpec?.Allow?.map(({ From }) => From)],
  ['env', 'MODE', ['KEY=a=b'], (spec) => container(spec).Env],
  ['env', 'MODE=fast', ['KEY=a=b'], (spec) => container(spec).Env],
  ['env', 'KEY=a=b', ['MODE=fast'], (spec) => container(spec).Env],
  ['label', 'tier', {}, (spec) => spec.Labels],
  ['label', 'tier=front', {}, (spec) => spec.Labels],
  ['container-label', 'team=blue', {}, (spec) => container(spec).Labels],
  ['sysctl', 'net.core.somaxconn=1024', {}, (spec) => container(spec).Sysctls],
  ['group', 'audio', [], (spec) => container(spec).Groups],
  ['host', 'DB', ['192.0.2.2 a', '192.0.2.2 b'], (spec) => container(spec).Hosts],
  [
    ...(['host', 'db:2001:db8:0:0::1'] as const),
    ['192.0.2.1 db', '192.0.2.2 a', '192.0.2.2 b'],
    (spec) => container(spec).Hosts,
  ],
  [
    ...(['host', 'b:192.0.2.2'] as const),
    ['192.0.2.1 db', '2001:db8::1 db', '192.0.2.2 a'],
    (spec) => container(spec).Hosts,
  ],
  ['mount', '/var/data', [], (spec) => container(spec).Mounts],
  ['mount', '/var//data/', [], (spec) => container(spec).Mounts],
  ['mount', 'type=volume,src=data,dst=/var/data', [], (spec) => container(spec).Mounts],
  ['network', 'bridge', [], (spec) => spec.TaskTemplate.Networks],
  ['network', 'name=bridge', [], (spec) => spec.TaskTemplate.Networks],
  ['ulimit', 'nofile', [], (spec) => container(spec).Ulimits],
  ['ulimit', 'nofile=1024:2048', [], (spec) => container(spec).Ulimits],
  ['dns', '192.0.2.53', [], (spec) => container(spec).DNSConfig?.Nameservers],
  ['dns-option', 'ndots:2', [], (spec) => container(spec).DNSConfig?.Options],
  ['dns-search', 'example.org.', [], (spec) => container(spec).DNSConfig?.Search],
  ['placement-pref', 'spread=Node.Labels.zone', [], preferences],
  ['placement-pref', 'node.labels.zone', [], preferences],
];

function targets(spec: ServiceSpec): unknown {
  return spec.EndpointSpec?.Ports?.map(({ TargetPort }) => TargetPort);
}

function constraints(spec: ServiceSpec): unknown {
  return spec.TaskTemplate.Placement?.Constraints;
}

function preferences(spec: ServiceSpec): unknown {
  return spec.TaskTemplate.Placement?.Preferences;
}

for (const [flag, text, left, listOf] of REMOVED) {
  test(`--${flag}-rm '${text}' removes what it means`, (t) => {
    t.deepEqual(listOf(update(`--${flag}-rm`, text)), left);
  });
}

/** A removal that matches nothing, and what the error says there is. */
const NOTHING: readonly (readonly [string, string, string])[] = [
  ['publish', '9999', 'published port; it has 8080:20/tcp, 30001:443/tcp, 53:53/udp'],
  ['publish', '8080/udp', 'published port; it has 8080:20/tcp, 30001:443/tcp, 53:53/udp'],
  ['publish', '20:8080', 'published port; it has 8080:20/tcp, 30001:443/tcp, 53:53/udp'],
  [
    'publish',
    'target=20,mode=host',
    'published port; it has 8080:20/tcp, 30001:443/tcp, 53:53/udp',
  ],
  [
    'constraint',
    'node.role==manager',
    'constraint; it has node.role == worker, node.labels.Zone!=a',
  ],
  [
    'constraint',
    'node.role!=worker',
    'constraint; it has node.role == worker, node.labels.Zone!=a',
  ],
  [
    'constraint',
    'node.labels.zone!=a',
    'constraint; it has node.role == worker, node.labels.Zone!=a',
  ],
  ['env', 'mode', 'environment variable; it has MODE, KEY'],
  ['label', 'typo', 'label; it has tier=front'],
  ['label', 'tier=back', 'label; it has tier=front'],
  ['container-label', 'tier', 'container label; it has team=blue'],
  ['sysctl', 'net.core', 'sysctl; it has net.core.somaxconn=1024'],
  ['group', 'video', 'group; it has audio'],
  ['host', 'db:192.0.2.9', 'host; it has db:192.0.2.1, db:2001:db8::1, a:192.0.2.2, b:192.0.2.2'],
  ['mount', 'data', 'mount; it has /var/data (data)'],
  ['allow', 'web', 'rule; it has db, any:80/tcp'],
  ['network', 'host', 'network; it has bridge'],
  ['ulimit', 'nproc', 'ulimit; it has nofile=1024:2048'],
  ['ulimit', 'nofile=1', 'ulimit; it has nofile=1024:2048'],
  ['dns', '192.0.2.54', 'DNS server; it has 192.0.2.53'],
  ['dns-option', 'rotate', 'DNS option; it has ndots:2'],
  ['dns-search', 'example.com', 'DNS search domain; it has Example.org'],
  [
    'placement-pref',
    'spread=node.labels.Zone',
    'placement preference; it has spread=node.labels.zone',
  ],
];
for (const [flag, text, what] of NOTHING) {
  test(`--${flag}-rm '${text}' matches nothing, and the error names what there is`, (t) => {
    t.throws(() => update(`--${flag}-rm`, text), {
      ...{
        instanceOf: UsageError,
        message: `--${flag}-rm ${text}: service web has no such ${what}`,
      },
    });
  });
}

test('every -rm flag is in both tables', (t) => {
  const flags = Object.keys(UPDATE_FLAGS).flatMap((name) => /^(.*)-rm$/.exec(name)?.[1] ?? []);
  t.true(flags.length > 10);
  for (const table of [REMOVED, NOTHING])
    t.deepEqual(
      flags.filter((flag) => !table.some(([name]) => name === flag)),
      [],
    );
});

test('an error lists no value of a variable, and no endless list', (t) => {
  t.throws(() => update('--env-rm', 'MODE=slow'), {
    message:
      '--env-rm: MODE has another value than the one given: use --env-rm MODE to remove it whatever it is',
  });
  const many = {
    ...WEB,
    Labels: Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`l${at}`, ''])),
  };
  t.throws(() => updateSpec(serviceArguments('update', ['--label-rm', 'x', 'web']), many, {}), {
    message: /l19= and 10 more$/,
  });
  const none = { ...WEB, Labels: {} };
  t.throws(() => updateSpec(serviceArguments('update', ['--label-rm', 'x', 'web']), none, {}), {
    message: '--label-rm x: service web has no such label; it has none',
  });
});

test('removing what the same line adds replaces it, whether it was there or not', (t) => {
  t.deepEqual(update('--label-rm', 'new', '--label-add', 'new=1').Labels, {
    tier: 'front',
    new: '1',
  });
  t.deepEqual(update('--label-rm', 'tier', '--label-add', 'tier=x').Labels, { tier: 'x' });
});

/** What is there already, in other words. */
const THERE: readonly (readonly [string, string])[] = [
  ['publish', '8080:20'],
  ['publish', 'published=8080,target=20,protocol=tcp,mode=ingress'],
  ['publish', '443'],
  ['constraint', 'node.role==worker'],
  ['constraint', 'node.labels.Zone != A'],
  ['env', 'MODE=fast'],
  ['label', 'tier=front'],
  ['container-label', 'team=blue'],
  ['sysctl', 'net.core.somaxconn=1024'],
  ['group', 'audio'],
  ['host', 'DB:192.0.2.1'],
  ['mount', 'source=data,target=/var/data'],
  ['network', 'name=bridge'],
  ['ulimit', 'nofile=1024:2048'],
  ['dns', '192.0.2.53'],
  ['dns-option', 'ndots:2'],
  ['dns-search', 'example.org'],
  ['placement-pref', 'spread=node.labels.zone'],
];
for (const [flag, text] of THERE) {
  test(`--${flag}-add '${text}' is there already, and changes nothing, however often`, (t) => {
    t.deepEqual(update(...Array.from({ length: 101 }, () => [`--${flag}-add`, text]).flat()), WEB);
  });
}

test('every -add flag that has a value to compare is in the table', (t) => {
  const flags = Object.keys(LIST_FLAGS).filter((name) => !name.startsWith('cap-'));
  t.deepEqual(
    flags.filter((flag) => !THERE.some(([name]) => name === flag)),
    [],
  );
});

test('capabilities are there already with or without CAP_, in any case', (t) => {
  t.deepEqual(update('--cap-add', 'net_admin', '--cap-drop', 'CAP_CHOWN'), WEB);
  const swapped = container(update('--cap-add', 'cap_chown', '--cap-drop', 'NET_ADMIN'));
  t.deepEqual(swapped.CapabilityAdd, ['cap_chown']);
  t.deepEqual(swapped.CapabilityDrop, ['NET_ADMIN']);
});

test('a new entry takes the place of the one that means the same thing', (t) => {
  const spec = update(
    ...['--publish-add', '8080:80', '--env-add', 'MODE=slow', '--ulimit-add', 'nofile=5'],
    ...['--mount-add', 'type=tmpfs,target=/var/data/', '--label-add', 'tier=back'],
  );
  t.deepEqual(spec.EndpointSpec?.Ports, [port(8080, 80), ...WEB.EndpointSpec!.Ports!.slice(1)]);
  t.deepEqual(container(spec).Env, ['MODE=slow', 'KEY=a=b']);
  t.deepEqual(container(spec).Ulimits, [{ Name: 'nofile', Soft: 5, Hard: 5 }]);
  t.deepEqual(container(spec).Mounts, [{ Type: 'tmpfs', Target: '/var/data/' }]);
  t.deepEqual(spec.Labels, { tier: 'back' });
  const host = update('--publish-add', 'published=8080,target=20,mode=host').EndpointSpec?.Ports;
  t.deepEqual(host?.[0], port(8080, 20, { PublishMode: 'host' }));
});

test('the same target may be published at several ports', (t) => {
  t.deepEqual(
    targets(update('--publish-add', '9090:20', '--publish-add', '9091:20')),
    [20, 443, 53, 20, 20],
  );
});

test('of a variable that is set twice, the new value is the only one', (t) => {
  const twice = structuredClone(WEB);
  const old = { ...twice.TaskTemplate.ContainerSpec!, Env: ['A=1', 'B=1', 'A=2'] };
  const spec = { ...twice, TaskTemplate: { ...twice.TaskTemplate, ContainerSpec: old } };
  const env = (...argv: string[]) =>
    container(updateSpec(serviceArguments('update', [...argv, 'web']), spec, {})).Env;
  t.deepEqual(env('--env-add', 'A=3'), ['A=3', 'B=1']);
  t.deepEqual(env('--env-rm', 'A=2'), ['B=1']);
});

for (const [what, run] of [
  ['update', (...argv: string[]) => update(...argv)],
  ['create', (...argv: string[]) => create(...argv.map((word) => word.replace('-add', '')))],
] as const) {
  test(`service ${what} with two targets for one published port, or two mounts in one place`, (t) => {
    const suffix = what === 'update' ? '-add' : '';
    t.throws(() => run('--publish-add', '80:80', '--publish-add', '80:81'), {
      ...{ instanceOf: UsageError },
      message: `--publish${suffix}: 80:80/tcp and 80:81/tcp exclude each other: leave one out`,
    });
    t.throws(() => run('--mount-add', 'src=a,dst=/x', '--mount-add', 'src=b,dst=/x/'), {
      message: `--mount${suffix}: /x (a) and /x/ (b) exclude each other: leave one out`,
    });
  });
}

test('service create takes what is given twice once', (t) => {
  const twice = (...argv: string[]) => create(...argv, ...argv);
  t.deepEqual(twice('-p', '80:80', '-p', '81').EndpointSpec?.Ports, [
    port(80, 80),
    port(undefined, 81),
  ]);
  t.deepEqual(
    create('--constraint', 'node.role==worker', '--constraint', 'node.role == worker').TaskTemplate
      .Placement?.Constraints,
    ['node.role==worker'],
  );
  const spec = container(
    twice('--group', 'a', '--host', 'a:192.0.2.1', '--cap-add', 'CHOWN', '--dns', '192.0.2.1'),
  );
  t.deepEqual(
    [spec.Groups, spec.Hosts, spec.CapabilityAdd, spec.DNSConfig?.Nameservers],
    [['a'], ['192.0.2.1 a'], ['CHOWN'], ['192.0.2.1']],
  );
});

const NODE = {
  ID: 'n1',
  Version: { Index: 4 },
  Spec: { Role: 'worker', Availability: 'active', Labels: { zone: 'a' } },
};
const NODES = { 'GET /nodes/h1': NODE, 'POST /nodes/n1/update': {} };

test('labels of nodes are changed by the same rules', async (t) => {
  const typo = await command(t, NODES, 'node', 'update', '--label-rm', 'zon', 'h1');
  t.deepEqual([typo.code, typo.out], [1, '']);
  t.is(typo.err, '--label-rm zon: node h1 has no such label; it has zone=a\n');
  t.is(typo.asked.filter(({ method }) => method === 'POST').length, 0);
  const argv = ['--label-rm', 'zone=a', '--label-add', 'rack=1', 'h1'];
  const done = await command(t, NODES, 'node', 'update', ...argv);
  t.is(done.code, 0, done.err);
  t.deepEqual(sent(done, '/nodes/n1/update').body.Labels, { rack: '1' });
});

test('the port that the cluster chose can be named too', async (t) => {
  const service = {
    ...{ ID: 's1', Version: { Index: 1 }, Spec: WEB, Endpoint: { Ports: [port(30001, 443)] } },
  };
  const answers = { 'GET /services/web': service, 'POST /services/s1/update': {} };
  const done = await command(t, answers, 'service', 'update', '-d', '--publish-rm', '30001', 'web');
  t.is(done.code, 0, done.err);
  t.deepEqual(targets(sent(done, '/services/s1/update').body), [20, 53]);
});
