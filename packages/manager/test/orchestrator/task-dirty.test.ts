import type { Service, Task } from '@swarm/api';
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
