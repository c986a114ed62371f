import test from 'ava';
import { withKeptOptions } from '../src/defaults/kept-options.js';
import { storedServiceSpec, withDefaults } from '../src/defaults/service.js';
import { randomName } from '../src/defaults/random-name.js';
import { ApiError } from '../src/errors.js';
import { parseImageReference } from '../src/validate/image-reference.js';
import { checkDnsName, checkObjectName } from '../src/validate/names.js';
import { checkServiceSpec, SERVICE_SPEC_LIMIT_BYTES } from '../src/validate/service-rules.js';
import { decodeServiceSpec } from '../src/validate/service-shape.js';

function accept(body: object): ReturnType<typeof storedServiceSpec> {
  const spec = storedServiceSpec(decodeServiceSpec(body), 'random_name');
  checkServiceSpec(spec, () => {});
  return spec;
}

/** A body with this container spec, and these other fields. */
function body(container: object = {}, rest: object = {}, task: object = {}): object {
  return {
    Name: 'web',
    TaskTemplate: { ContainerSpec: { Image: 'nginx', ...container }, ...task },
    ...rest,
  };
}

test('an empty name becomes a random one that is valid', (t) => {
  t.is(accept({ ...body(), Name: '' }).Name, 'random_name');
  for (let byte = 0; byte < 256; byte += 1) {
    t.notThrows(() => checkDnsName(randomName(() => Uint8Array.of(byte, 255 - byte))));
  }
});

test('missing fields are filled in as the server of Docker does, without its faults', (t) => {
  const spec = accept(
    body({}, { UpdateConfig: {}, EndpointSpec: { Ports: [{ TargetPort: 80 }] } }),
  );
  t.deepEqual(spec.Mode, { Replicated: { Replicas: 1 } });
  t.is(spec.UpdateConfig?.Parallelism, 1);
  t.deepEqual(spec.EndpointSpec, {
    Mode: 'vip',
    Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishMode: 'ingress' }],
  });
  t.is(spec.RollbackConfig, undefined);
  t.deepEqual(accept(body({}, { Mode: { ReplicatedJob: { MaxConcurrent: 3 } } })).Mode, {
    ReplicatedJob: { MaxConcurrent: 3, TotalCompletions: 3 },
  });
});

test('an explicit zero is kept: no replicas, all at once', (t) => {
  const spec = accept(
    body({}, { Mode: { Replicated: { Replicas: 0 } }, UpdateConfig: { Parallelism: 0 } }),
  );
  t.is(spec.Mode.Replicated?.Replicas, 0);
  t.is(withDefaults(spec).UpdateConfig?.Parallelism, 0);
});

test('null and names in other cases are read as Go reads them', (t) => {
  const spec = accept({
    name: 'lower',
    Labels: null,
    TaskTemplate: { containerspec: { image: 'x' } },
  });
  t.is(spec.Name, 'lower');
  t.is(spec.TaskTemplate.ContainerSpec?.Image, 'x');
  t.deepEqual(spec.Labels, {});
});

test('a label named __proto__ is refused, because the store would not return it', (t) => {
  const body = JSON.parse(
    '{"Name":"x","Labels":{"__proto__":"1"},"TaskTemplate":{"ContainerSpec":{"Image":"x"}}}',
  );
  t.throws(() => decodeServiceSpec(body), { code: 'INVALID_ARGUMENT', message: /^Labels: / });
  const privileges = JSON.parse('{"Seccomp":{"__proto__":{"Mode":"unconfined"}}}');
  const nested = { TaskTemplate: { ContainerSpec: { Image: 'x', Privileges: privileges } } };
  t.throws(() => decodeServiceSpec(nested), { code: 'INVALID_ARGUMENT' });
});

test('storing a stored spec changes nothing', (t) => {
  const spec = accept(
    body({ Mounts: [{ Type: 'bind', Source: '/a', Target: '/b' }] }, { UpdateConfig: {} }),
  );
  t.deepEqual(accept(JSON.parse(JSON.stringify(spec))), spec);
  const shown = withDefaults(spec);
  t.deepEqual(withDefaults(accept(JSON.parse(JSON.stringify(shown)))), shown);
});

const refused: readonly (readonly [string, object, RegExp, string?])[] = [
  [
    'another network besides one of the host',
    body({}, {}, { Networks: [{ Target: 'none' }, { Target: 'host' }] }),
    /network "none": a task has no other network besides it; remove "host"/,
  ],
  [
    'an alias in the network of the host',
    body({}, {}, { Networks: [{ Target: 'host', Aliases: ['a'] }] }),
    /network "host": it has neither Aliases nor DriverOpts/,
  ],
  [
    'a port of the mesh in the network of the host',
    body(
      {},
      { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 80 }] } },
      { Networks: [{ Target: 'host' }] },
    ),
    /listens on the host's port 80\/tcp itself; remove .* or publish it as mode=host,target=80,published=80/,
  ],
  [
    'a translated port in the network of the host',
    body(
      {},
      { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 81, PublishMode: 'host' }] } },
      { Networks: [{ Target: 'host' }] },
    ),
    /listens on the host's port 80\/tcp itself/,
  ],
  [
    'a port of a task without a network',
    body({}, { EndpointSpec: { Ports: [{ TargetPort: 80 }] } }, { Networks: [{ Target: 'none' }] }),
    /network "none": port 80\/tcp cannot be published from it/,
  ],
  ['no container', { Name: 'web' }, /ContainerSpec: missing/],
  ['no image', body({ Image: '' }), /image reference must be provided/],
  ['a bad image', body({ Image: 'Nginx:@' }), /not a valid repository\/tag/],
  ['a bad name', { ...body(), Name: 'a.b' }, /valid as a DNS name component/],
  ['a long name', { ...body(), Name: 'a'.repeat(64) }, /63 characters or fewer/],
  ['two modes', body({}, { Mode: { Global: {}, Replicated: {} } }), /only one service mode/],
  [
    'little CPU',
    body({}, {}, { Resources: { Limits: { NanoCPUs: 1 } } }),
    /invalid cpu value 1e-9: Must be at least 0.001/,
  ],
  ['negative CPU', body({}, {}, { Resources: { Limits: { NanoCPUs: -1 } } }), /invalid cpu value/],
  [
    'little memory',
    body({}, {}, { Resources: { Reservations: { MemoryBytes: 100 } } }),
    /Must be at least 4MiB/,
  ],
  [
    'a bad update ratio',
    body({}, { UpdateConfig: { MaxFailureRatio: 1.1 } }),
    /update-maxfailureratio/,
  ],
  [
    'a bad rollback ratio',
    body({}, { RollbackConfig: { MaxFailureRatio: -0.1 } }),
    /rollback-maxfailureratio/,
  ],
  [
    'a rollback of a rollback',
    body({}, { RollbackConfig: { FailureAction: 'rollback' } }),
    /must be pause or continue/,
  ],
  [
    'a negative delay',
    body({}, { UpdateConfig: { Delay: -1 } }),
    /update-delay cannot be negative/,
  ],
  [
    'a negative restart delay',
    body({}, {}, { RestartPolicy: { Delay: -1 } }),
    /restart-delay cannot be negative/,
  ],
  [
    'mounts of one target',
    body({
      Mounts: [
        { Type: 'tmpfs', Target: '/a' },
        { Type: 'tmpfs', Target: '/a/' },
      ],
    }),
    /duplicate mount point/,
  ],
  ['a bind without source', body({ Mounts: [{ Type: 'bind', Target: '/a' }] }), /needs a Source/],
  [
    'a mount of CSI',
    body({ Mounts: [{ Type: 'cluster', Target: '/a' }] }),
    /type cluster/,
    'UNIMPLEMENTED',
  ],
  [
    'ports twice',
    body(
      {},
      {
        EndpointSpec: {
          Ports: [
            { TargetPort: 1, PublishedPort: 9 },
            { TargetPort: 2, PublishedPort: 9 },
          ],
        },
      },
    ),
    /duplicate published ports/,
  ],
  [
    'dnsrr with ingress',
    body({}, { EndpointSpec: { Mode: 'dnsrr', Ports: [{ TargetPort: 1 }] } }),
    /can't be used with dnsrr/,
  ],
  [
    'a port out of range',
    body({}, { EndpointSpec: { Ports: [{ TargetPort: 70_000 }] } }),
    /TargetPort: 70000 is out of range/,
  ],
  [
    'a health interval that is short',
    body({ Healthcheck: { Interval: 5 } }),
    /Interval in HealthConfig cannot be less than 1ms/,
  ],
  [
    'a health test of no kind',
    body({ Healthcheck: { Test: ['curl'] } }),
    /use NONE, CMD or CMD-SHELL/,
  ],
  [
    'a preference of the node id',
    body({}, {}, { Placement: { Preferences: [{ Spread: { SpreadDescriptor: 'node.id' } }] } }),
    /only spread over/,
  ],
  [
    'replicas of a global service per node',
    body({}, { Mode: { Global: {} } }, { Placement: { MaxReplicas: 1 } }),
    /replicas-max-per-node/,
  ],
  [
    'a job with an update',
    body({}, { Mode: { GlobalJob: {} }, UpdateConfig: {} }),
    /job cannot have an UpdateConfig/,
  ],
  [
    'an unknown choice',
    body({}, {}, { RestartPolicy: { Condition: 'often' } }),
    /Condition: "often" is unknown; use one of none, on-failure, any/,
  ],
  [
    'a fraction of replicas',
    body({}, { Mode: { Replicated: { Replicas: 1.5 } } }),
    /whole number/,
    'BAD_REQUEST',
  ],
  [
    'a list for an object',
    body({}, { Labels: [] }),
    /^Labels: must be an object, not a list/,
    'BAD_REQUEST',
  ],
  ['an endless nest', body({ Privileges: nest(2000) }), /nested deeper than/],
];

function nest(depth: number): object {
  let value = {};
  for (let level = 0; level < depth; level += 1) value = { a: value };
  return value;
}

for (const [what, input, message, code = 'INVALID_ARGUMENT'] of refused) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => accept(input), { instanceOf: ApiError, message });
    t.is(error.code, code as never);
  });
}

test('the networks of every host can be named, with the ports of the host in its own', (t) => {
  const ports = [{ TargetPort: 80, PublishedPort: 80, PublishMode: 'host' }];
  for (const Target of ['host', 'none', 'bridge'])
    t.notThrows(() => accept(body({}, {}, { Networks: [{ Target }] })), Target);
  t.notThrows(() =>
    accept(body({}, { EndpointSpec: { Ports: ports } }, { Networks: [{ Target: 'host' }] })),
  );
  // Clients older than Engine API 1.25 name networks in the service.
  const old = accept(body({}, { Networks: [{ Target: 'host' }] }));
  t.deepEqual(old.TaskTemplate.Networks, [{ Target: 'host' }]);
  t.is(old.Networks, undefined);
});

test('image references are read by the grammar of registries', (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  t.deepEqual(parseImageReference(`registry:5000/team/app:1.0@${digest}`), {
    name: 'registry:5000/team/app',
    tag: '1.0',
    digest,
  });
  t.deepEqual(parseImageReference('nginx'), { name: 'nginx' });
  t.deepEqual(parseImageReference('localhost/x'), { name: 'localhost/x' });
  for (const bad of ['', ':1', 'a b', 'UPPER', 'a//b', 'x:', 'x@sha256:12', '-x', 'a/../b']) {
    t.is(parseImageReference(bad), undefined, bad);
  }
});

test('a spec that would not fit into the transactions of a roll-out is refused', (t) => {
  const sized = (length: number) => body({ Env: [`A=${'é'.repeat(length / 2)}`] });
  t.notThrows(() => accept(sized(SERVICE_SPEC_LIMIT_BYTES - 1024)));
  const error = t.throws(() => accept(sized(SERVICE_SPEC_LIMIT_BYTES)), { instanceOf: ApiError });
  t.regex(error.message, /^the service spec has 193 KiB, at most 192 KiB are allowed;/);
});

test('names that are not valid DNS labels or file names are refused, in linear time', (t) => {
  for (const name of ['web', 'a-b_c', '0']) t.notThrows(() => checkDnsName(name));
  for (const name of ['', '-a', 'a-', 'a b']) t.throws(() => checkDnsName(name));
  t.throws(() => checkDnsName(`${'a-'.repeat(30)}!`));
  t.notThrows(() => checkObjectName('site.conf'));
  t.throws(() => checkObjectName('x'.repeat(65)));
});

const PORT = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 8080,
  PublishMode: 'ingress',
} as const;

test('options of published ports are stored, what means none is not, and nonsense is refused', (t) => {
  const endpoint = (fields: object) => accept(body({}, { EndpointSpec: fields })).EndpointSpec;
  const given = { Affinity: 'client', TrafficPolicy: 'local', RevisionWeight: 0 };
  t.like(endpoint({ ...given, Ports: [{ ...PORT, HostIP: '2001:DB8::1' }] }), {
    ...given,
    Ports: [{ HostIP: '2001:db8::1' }],
  });
  const none = { Affinity: 'none', TrafficPolicy: 'cluster', RevisionWeight: 100 };
  t.deepEqual(endpoint({ ...none, Ports: [{ ...PORT, HostIP: '' }] }), {
    Mode: 'vip',
    Ports: [PORT],
  });
  const limited = (ClientLimits: object) => ({ Ports: [{ ...PORT, ClientLimits }] });
  const stored = { Connections: 10, Rate: 5, Per: 'minute', Burst: 9 };
  t.like(endpoint(limited(stored)), limited(stored));
  t.deepEqual(endpoint(limited({ Rate: 5, Per: 'second', Connections: 0 })), {
    Mode: 'vip',
    ...limited({ Rate: 5 }),
  });
  t.deepEqual(endpoint(limited({})), { Mode: 'vip', Ports: [PORT] });
  const hosted = { Ports: [{ ...PORT, PublishMode: 'host', ClientLimits: { Rate: 5 } }] };
  t.throws(() => endpoint(hosted), {
    message: /8080:80\/tcp \(host\) has ClientLimits, which only/,
  });
  t.throws(() => endpoint(limited({ Burst: 5 })), { message: /have a Burst but no Rate/ });
  const proxied = (fields: object = {}, more: object = {}) =>
    endpoint({ ...more, Ports: [{ ...PORT, ProxyProtocol: 'v2', ...fields }] });
  t.like(proxied(), { Ports: [{ ProxyProtocol: 'v2' }] });
  t.deepEqual(proxied({ ProxyProtocol: 'none' }), { Mode: 'vip', Ports: [PORT] });
  t.throws(() => proxied({ Protocol: 'udp' }), {
    message: /which only TCP has here; leave it out/,
  });
  t.throws(() => proxied({ PublishMode: 'host' }), { message: /only ports in ingress mode have/ });
  t.throws(() => proxied({}, { Affinity: 'client' }), { message: /Affinity cannot be kept/ });
  t.throws(() => proxied({}, { Allow: [] }), { message: /Allow cannot admit clients/ });
  for (const bad of [
    { Ports: [{ ...PORT, ProxyProtocol: 'v3' }] },
    limited({ Connections: 10_001 }),
    limited({ Connections: -1 }),
    limited({ Rate: 5, Per: 'day' }),
    limited({ Rate: 1_000_001 }),
    { Affinity: 'cookie' },
    { TrafficPolicy: 'near' },
    { RevisionWeight: 1001 },
    { RevisionWeight: -1 },
    { Ports: [{ ...PORT, HostIP: 'web' }] },
    { Ports: [{ ...PORT, HostIP: '224.0.0.1' }] },
  ])
    t.throws(() => endpoint(bad), { instanceOf: ApiError }, JSON.stringify(bad));
});

test('a client that knows no options keeps them, and what means none takes them away', (t) => {
  const present = {
    Affinity: 'client',
    TrafficPolicy: 'local',
    RevisionWeight: 5,
    Ports: [{ ...PORT, HostIP: '192.0.2.1', ClientLimits: { Rate: 5 }, ProxyProtocol: 'v1' }],
  } as const;
  // As Docker's client reads, edits and writes it.
  const edited = { Mode: 'vip' as const, Ports: [PORT, { TargetPort: 81 }] };
  t.deepEqual(withKeptOptions(edited, present), {
    ...edited,
    Affinity: 'client',
    TrafficPolicy: 'local',
    RevisionWeight: 5,
    Ports: [...present.Ports, { TargetPort: 81 }],
  });
  const cleared = {
    Affinity: 'none' as const,
    TrafficPolicy: 'cluster' as const,
    RevisionWeight: 100,
    Ports: [{ ...PORT, HostIP: '', ClientLimits: {}, ProxyProtocol: 'none' as const }],
  };
  t.deepEqual(withKeptOptions(cleared, present), cleared);
  const moved = { Ports: [{ ...PORT, PublishedPort: 8081 }] };
  t.like(withKeptOptions(moved, present), moved);
  t.is(withKeptOptions(moved, present).Ports?.[0]?.HostIP, undefined, 'another mapping');
});
