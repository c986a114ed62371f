import {
  type ContainerSpec,
  type Service,
  storedServiceSpec,
  type Task,
  withDefaults,
} from '@swarm/api';
import test from 'ava';
import { meansSame } from '../../src/orchestrator/means-same.js';
import { isTaskDirty } from '../../src/orchestrator/task-dirty.js';
import { nodeMatches } from '../../src/scheduler/constraint.js';
import { nodeDraft, serviceDraft, taskDraft } from '../support/objects.js';

const META = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
const node = { ...nodeDraft('n1'), ...META };

function dirty(spec: Partial<Service['Spec']>, task: Partial<Task> = {}, specVersion = 2): boolean {
  const service = {
    ...serviceDraft('web', { SpecVersion: { Index: specVersion } }, spec),
    ...META,
  };
  const running = { State: 'running' as const, Timestamp: '1970-01-01T00:00:00Z', Message: '' };
  const whole = { ...taskDraft('t', { Status: running, ...task }), ...META };
  return isTaskDirty(service, whole, node, nodeMatches);
}

const IMAGE = { ContainerSpec: { Image: 'nginx' }, ForceUpdate: 0 };

test('a task of the same SpecVersion is clean whatever it holds', (t) => {
  t.false(dirty({ TaskTemplate: { ForceUpdate: 7 } }, {}, 1));
  t.true(dirty({ TaskTemplate: { ForceUpdate: 7 } }));
});

test('new labels, replicas and update settings of the service leave tasks clean', (t) => {
  t.false(dirty({ Labels: { a: 'b' }, Mode: { Replicated: { Replicas: 9 } } }));
  t.false(dirty({ UpdateConfig: { Parallelism: 9 } }));
});

test('changes of the template make tasks dirty: image, environment, force', (t) => {
  t.true(dirty({ TaskTemplate: { ContainerSpec: { Image: 'v2' }, ForceUpdate: 0 } }));
  t.true(
    dirty({ TaskTemplate: { ContainerSpec: { Image: 'nginx', Env: ['A=1'] }, ForceUpdate: 0 } }),
  );
  t.true(dirty({ TaskTemplate: { ...IMAGE, ForceUpdate: 1 } }));
});

test('new constraints alone make tasks dirty only on nodes that do not satisfy them', (t) => {
  const on = (Constraints: string[], MaxReplicas?: number) => ({
    TaskTemplate: {
      ...IMAGE,
      Placement: { Constraints, ...(MaxReplicas !== undefined && { MaxReplicas }) },
    },
  });
  t.false(dirty(on(['node.id == n1'])));
  t.true(dirty(on(['node.id == n2'])));
  t.true(dirty(on(['node.id == n1'], 3)));
});

test('new registry credentials make only tasks dirty that have not pulled their image', (t) => {
  const spec = { TaskTemplate: { ...IMAGE, RegistryAuth: 'new' } };
  t.false(dirty(spec));
  t.true(
    dirty(spec, { Status: { State: 'preparing', Timestamp: '1970-01-01T00:00:00Z', Message: '' } }),
  );
});

test('new ports make tasks dirty, unless the spec leaves open what was allocated', (t) => {
  const port = { Protocol: 'tcp', TargetPort: 80, PublishMode: 'ingress' } as const;
  const has = (PublishedPort: number) => ({ Endpoint: { Ports: [{ ...port, PublishedPort }] } });
  const wants = (...Ports: object[]) => ({ EndpointSpec: { Ports } }) as Partial<Service['Spec']>;
  t.false(dirty(wants(port), has(30000)));
  t.false(dirty(wants({ ...port, PublishedPort: 8080 }), has(8080)));
  t.true(dirty(wants({ ...port, PublishedPort: 8081 }), has(8080)));
  t.true(dirty(wants({ ...port, PublishMode: 'host' }), has(30000)));
  t.true(dirty(wants(port), {}));
  t.true(dirty({}, has(30000)));
  t.false(
    dirty(wants(port), {
      Status: { State: 'new', Timestamp: '1970-01-01T00:00:00Z', Message: '' },
    }),
    'not allocated yet',
  );
  t.false(
    dirty(wants(port, { ...port, PublishedPort: 30000 }), {
      Endpoint: {
        Ports: [
          { ...port, PublishedPort: 30000 },
          { ...port, PublishedPort: 30001 },
        ],
      },
    }),
    'the open port does not take the fixed one',
  );
});

test('what is absent equals what is empty, but 0 and a false Init do not', (t) => {
  t.true(meansSame({ a: 1 }, { a: 1, b: null, c: [], d: {}, e: '', f: false, g: { h: [] } }));
  t.false(meansSame({}, { a: 0 }));
  t.false(meansSame({}, { Init: false }));
  t.false(meansSame({ a: ['x', 'y'] }, { a: ['y', 'x'] }));
  t.false(meansSame({ a: {} }, { a: { b: 1 } }));
});

/** A service with much of what a template can have, as a client sends it. */
const SENT = {
  Name: 'web',
  TaskTemplate: {
    ContainerSpec: {
      Image: 'nginx',
      Env: ['A=1', 'B=2'],
      Labels: { a: '1', b: '2' },
      Groups: ['x', 'y'],
      Mounts: [
        { Type: 'volume' as const, Source: 'data', Target: '/data' },
        { Type: 'bind' as const, Source: '/srv', Target: '/srv', ReadOnly: true },
      ],
      CapabilityAdd: ['CAP_NET_RAW', 'CAP_KILL'],
      Ulimits: [
        { Name: 'nofile', Hard: 10, Soft: 10 },
        { Name: 'nproc', Hard: 9, Soft: 9 },
      ],
      Healthcheck: { Test: ['CMD', 'true'] },
    },
    Placement: { Constraints: ['node.role==worker', 'node.labels.a != b'] },
    Networks: [
      { Target: 'one', Aliases: ['x', 'y'] },
      { Target: 'two', Aliases: [] },
    ],
  },
};
type Sent = typeof SENT;
type Container = Sent['TaskTemplate']['ContainerSpec'] & Partial<ContainerSpec>;

/** Whether a task of what was sent is replaced when something else is sent. */
function replaces(change: (spec: Sent) => object): boolean {
  const made = storedServiceSpec(SENT, '').TaskTemplate;
  const spec = storedServiceSpec(change(structuredClone(SENT)) as never, '');
  return dirty(spec, { Spec: made });
}

function withContainer(change: (container: Container) => object): boolean {
  return replaces((spec) => {
    const { TaskTemplate } = spec;
    const ContainerSpec = { ...TaskTemplate.ContainerSpec, ...change(TaskTemplate.ContainerSpec) };
    return { ...spec, TaskTemplate: { ...TaskTemplate, ContainerSpec } };
  });
}

test('posting back what insertDefaults shows replaces nothing', (t) => {
  t.false(replaces(() => withDefaults(storedServiceSpec(SENT, ''))));
  t.false(replaces((spec) => JSON.parse(JSON.stringify(storedServiceSpec(spec, '')))));
});

test('the same in other words replaces nothing', (t) => {
  const nginx = [
    'nginx:latest',
    'library/nginx',
    'docker.io/nginx',
    'index.docker.io/library/nginx',
  ];
  for (const Image of nginx)
    t.false(
      withContainer(() => ({ Image })),
      Image,
    );
  t.false(
    withContainer(({ Env }) => ({ Env: [...Env].reverse() })),
    'order of variables',
  );
  t.false(
    withContainer(({ Env }) => ({ Env: [...Env, 'A=1'] })),
    '--env-add of what is there',
  );
  t.false(
    withContainer(({ Env }) => ({ Env: ['A=0', ...Env] })),
    'the last one holds',
  );
  t.false(
    withContainer(() => ({ Labels: { b: '2', a: '1' } })),
    'order of labels',
  );
  for (const set of ['Mounts', 'Groups', 'CapabilityAdd', 'Ulimits'] as const)
    t.false(
      withContainer((container) => ({ [set]: [...container[set]].reverse() })),
      set,
    );
  t.false(
    withContainer(() => ({ CapabilityAdd: ['kill', 'net_raw'] })),
    'names of capabilities',
  );
  t.false(
    withContainer(({ Mounts }) => ({
      Mounts: Mounts.map((mount) => ({
        ...mount,
        Target: `${mount.Target}/`,
        ...(mount.Type === 'bind'
          ? { BindOptions: { Propagation: 'rprivate' } }
          : { VolumeOptions: { NoCopy: false, DriverConfig: { Name: 'local' } } }),
      })),
    })),
    'defaults of mounts',
  );
  t.false(
    withContainer(() => ({ Healthcheck: { Test: ['CMD', 'true'], Interval: 0, Retries: 0 } })),
  );
  t.false(
    replaces((spec) => ({
      ...spec,
      TaskTemplate: {
        ...spec.TaskTemplate,
        Resources: { Limits: { NanoCPUs: 0, MemoryBytes: 0, Pids: 0 }, Reservations: {} },
        Networks: [...spec.TaskTemplate.Networks].reverse(),
        Placement: { Constraints: [' node.labels.a!=b ', 'node.role == worker'], MaxReplicas: 0 },
        Runtime: 'container',
      },
    })),
    'sets, blanks and zeros of the template',
  );
});

test('how a task stops and what follows it needs no other task', (t) => {
  t.false(withContainer(() => ({ StopGracePeriod: 60e9, StopSignal: 'SIGINT' })));
  t.false(
    replaces((spec) => ({
      ...spec,
      Labels: { a: 'b' },
      TaskTemplate: {
        ...spec.TaskTemplate,
        RestartPolicy: { Condition: 'none', MaxAttempts: 3, Delay: 1e9, Window: 1e9 },
      },
      UpdateConfig: { Parallelism: 7, Order: 'start-first' },
      RollbackConfig: { Parallelism: 7 },
    })),
  );
});

test('another meaning replaces tasks', (t) => {
  for (const Image of ['nginx:1', 'quay.io/nginx', 'host', `nginx@sha256:${'a'.repeat(64)}`])
    t.true(
      withContainer(() => ({ Image })),
      Image,
    );
  t.true(
    withContainer(({ Env }) => ({ Env: [...Env, 'A=3'] })),
    'the last one holds',
  );
  t.true(withContainer(() => ({ Args: ['b', 'a'] })));
  t.true(withContainer(() => ({ Init: false })));
  t.true(withContainer(({ Mounts }) => ({ Mounts: Mounts.slice(1) })));
  t.true(withContainer(() => ({ Healthcheck: { Test: ['CMD', 'true'], Retries: 1 } })));
  t.true(withContainer(() => ({ DNSConfig: { Nameservers: ['192.0.2.1'] } })));
  t.true(
    replaces(({ TaskTemplate, ...spec }) => ({
      ...spec,
      TaskTemplate: { ...TaskTemplate, Resources: { Limits: { MemoryBytes: 2 ** 30 } } },
    })),
  );
});

test('an entry with an empty value differs from no entry where users choose the keys', (t) => {
  const task = (change: Partial<ContainerSpec>, rest: object = {}) => ({
    TaskTemplate: { ContainerSpec: { Image: 'nginx', ...change }, ForceUpdate: 0, ...rest },
  });
  const before = { Spec: task({}).TaskTemplate };
  t.true(dirty(task({ Labels: { a: '' } }), before));
  t.false(dirty(task({ Labels: {} }), before));
  t.true(dirty(task({ Sysctls: { 'net.core.x': '' } }), before));
  t.true(dirty(task({}, { LogDriver: { Options: { tag: '' } } }), before));
  t.false(dirty(task({}, { LogDriver: { Name: '', Options: {} } }), before));
  const mounted = (VolumeOptions: object) =>
    task({ Mounts: [{ Type: 'volume', Target: '/a', VolumeOptions }] });
  const plain = { Spec: mounted({}).TaskTemplate };
  t.true(dirty(mounted({ Labels: { a: '' } }), plain));
  t.true(dirty(mounted({ DriverConfig: { Options: { o: '' } } }), plain));
  t.false(dirty(mounted({ Labels: {}, DriverConfig: { Name: 'local', Options: {} } }), plain));
});

test('the image of host commands has two names, and none at a registry', (t) => {
  const on = (Image: string, had: string) =>
    dirty(
      { TaskTemplate: { ContainerSpec: { Image }, ForceUpdate: 0 } },
      { Spec: { ContainerSpec: { Image: had }, ForceUpdate: 0 } },
    );
  t.false(on('host', 'host:latest'));
  t.true(on('host', 'docker.io/library/host'));
  t.false(on(`nginx:1@sha256:${'a'.repeat(64)}`, `nginx@sha256:${'a'.repeat(64)}`));
});
