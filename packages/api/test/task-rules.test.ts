import test from 'ava';
import { storedServiceSpec } from '../src/defaults/service.js';
import { signalName, signalNumber } from '../src/task/signals.js';
import { checkServiceSpec } from '../src/validate/service-rules.js';

/** Why a service is refused; empty when it is not. */
function refusal(container: object, more: { template?: object; spec?: object } = {}): string {
  const ContainerSpec = { Image: 'nginx', ...container };
  const TaskTemplate = { ContainerSpec, ...more.template };
  const spec = storedServiceSpec({ Name: 'web', TaskTemplate, ...more.spec } as never, '');
  try {
    checkServiceSpec(spec, () => {});
    return '';
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return code === 'INVALID_ARGUMENT' ? message : `not refused properly: ${message}`;
  }
}

test('placeholders are checked wherever nodes expand them', (t) => {
  const bad = '{{.time}}';
  for (const [container, field] of [
    [{ Env: [`X=${bad}`] }, 'Env'],
    [{ Hostname: bad }, 'Hostname'],
    [{ Dir: bad }, 'Dir'],
    [{ Mounts: [{ Type: 'volume', Source: 'v', Target: `/${bad}` }] }, 'Mounts.Target'],
    [{ Mounts: [{ Type: 'volume', Source: bad, Target: '/x' }] }, 'Mounts.Source'],
    [
      { Mounts: [{ Type: 'volume', Target: '/x', VolumeOptions: { Labels: { a: bad } } }] },
      'Mounts.VolumeOptions.Labels',
    ],
    [
      {
        Mounts: [
          {
            Type: 'volume',
            Target: '/x',
            VolumeOptions: { DriverConfig: { Name: 'd', Options: { o: bad } } },
          },
        ],
      },
      'Mounts.VolumeOptions.DriverConfig.Options',
    ],
  ] as const) {
    t.is(
      refusal(container).split(', which')[0],
      `ContainerSpec.${field} has the placeholder {{.time}}`,
    );
  }
  t.is(refusal({ Env: ['X={{.Task.Slot}}', 'Y={{"{{"}}.time}}'] }), '');
  t.regex(refusal({ Env: ['X={{'] }), /no }} closes/);
});

test('a host name that is too long, or is not one, on every node is refused', (t) => {
  const long = 'a'.repeat(64);
  t.regex(
    refusal({ Hostname: long }),
    /^ContainerSpec\.Hostname is "a{64}", which is not a host name/,
  );
  t.regex(refusal({ Hostname: 'a_b' }), /not a host name/);
  t.is(refusal({ Hostname: 'a'.repeat(63) }), '');
  t.is(refusal({ Hostname: `${'a'.repeat(50)}-{{.Task.Slot}}` }), '');
  t.is(refusal({ Hostname: `${'a'.repeat(60)}-{{.Node.Hostname}}` }), '', 'a short one would fit');
  t.regex(refusal({ Hostname: `${'a'.repeat(40)}-{{.Task.ID}}` }), /not a host name/);
  t.regex(
    refusal({ Hostname: `${'a'.repeat(40)}-{{.Task.Slot}}` }, { spec: { Mode: { Global: {} } } }),
    /not a host name/,
    'the slot of a global task is an id',
  );
  t.regex(
    refusal({ Hostname: 'x-{{.Service.Labels.z}}' }, { spec: { Labels: { z: 'a b' } } }),
    /is "x-a b"/,
  );
});

test('what nodes with any runtime reject is refused', (t) => {
  t.regex(refusal({ StopSignal: 'SIGNONE' }), /StopSignal is "SIGNONE"/);
  t.is(refusal({ StopSignal: 'SIGRTMIN+3' }), '');
  t.regex(refusal({ Env: ['A=\0'] }), /not of the form NAME=value/);
  t.regex(refusal({ Hosts: ['192.0.2.1'] }), /ContainerSpec\.Hosts has "192\.0\.2\.1"/);
  t.regex(refusal({ CapabilityAdd: ['CAP_WINGS'] }), /"CAP_WINGS" is not a capability/);
  t.is(refusal({ CapabilityAdd: ['ALL', 'net_raw', 'CAP_KILL'] }), '');
  t.regex(refusal({ Ulimits: [{ Name: 'nofiles', Soft: 1, Hard: 1 }] }), /has "nofiles"/);
});

test('what nodes reject of a command of the host is refused', (t) => {
  const host = (container: object, template: object = {}) =>
    refusal({ Image: 'host', Command: ['true'], ...container }, { template });
  t.is(host({}), '');
  t.regex(host({ Command: [] }), /no command of its own/);
  t.is(host({ Command: [], Args: ['true'] }), '');
  const MemoryBytes = 5 * 1024 * 1024;
  t.regex(host({}, { Resources: { Limits: { MemoryBytes } } }), /at least 6291456/);
  t.regex(host({}, { LogDriver: { Name: 'syslog' } }), /LogDriver\.Name is "syslog"/);
  t.is(refusal({}, { template: { LogDriver: { Name: 'syslog' } } }), '', 'an engine has it');
});

test('duplicates name both mappings', (t) => {
  const ports = (...Ports: object[]) => refusal({}, { spec: { EndpointSpec: { Ports } } });
  t.is(
    ports(
      { TargetPort: 80, PublishedPort: 8080 },
      { TargetPort: 20, PublishedPort: 8080, PublishMode: 'host' },
    ),
    'EndpointSpec: duplicate published ports provided: 8080:80/tcp and 8080:20/tcp (host) both publish 8080/tcp; keep one of them',
  );
  t.regex(
    ports({ TargetPort: 80, PublishedPort: 8080 }, { TargetPort: 80, PublishedPort: 8080 }),
    /duplicate ports provided: 8080:80\/tcp is there twice/,
  );
  const many = Array.from({ length: 1001 }, (_, at) => ({ TargetPort: at + 1 }));
  t.regex(ports(...many), /^EndpointSpec\.Ports: .*1000/);
  const Mounts = [
    { Type: 'volume', Source: 'a', Target: '/x' },
    { Type: 'tmpfs', Target: '/x/' },
  ];
  t.regex(refusal({ Mounts }), /duplicate mount point: \/x\/, of the volume a and of a tmpfs$/);
});

test('signals have numbers and names as the kernel has them', (t) => {
  for (const [name, number] of [
    ['SIGTERM', 15],
    ['term', 15],
    ['KILL', 9],
    ['sigchld', 17],
    ['IOT', 6],
    ['POLL', 29],
    ['SYS', 31],
    ['SIGRTMIN', 34],
    ['RTMIN+3', 37],
    ['RTMAX-1', 63],
    ['64', 64],
  ] as const)
    t.is(signalNumber(name), number, name);
  for (const none of ['0', '65', 'SIG', '', 'RTMIN+31', 'TERMS', '-1'])
    t.is(signalNumber(none), undefined, none);
  t.is(signalName(9), 'SIGKILL');
  t.is(signalName(17), 'SIGCHLD');
  t.is(signalName(40), undefined);
  t.is(signalName(0), undefined);
});
