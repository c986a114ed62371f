import test from 'ava';
import fc from 'fast-check';
import type { Body } from '../../src/store/command.js';
import { createDispatcher } from '../../src/dispatcher/index.js';
import { removeUnreadable } from '../../src/orchestrator/service-removal.js';
import { KINDS } from '../../src/store/kinds.js';
import type { Kind } from '../../src/store/store.js';
import { fullDraft, spoil, spoils } from '../support/hostile.js';
import { nodeDraft, put, serviceDraft, taskDraft } from '../support/objects.js';
import { GOOD, HostileWorld } from './world.js';

const BIG = 2n ** 60n;

/** What older versions let into the store, and what no version should have. */
function badObjects(): [Kind, Record<string, unknown>][] {
  const task = (id: string, change: object): [Kind, Record<string, unknown>] => [
    'task',
    { ...taskDraft(id, { ServiceID: GOOD, NodeID: 'good-1', Slot: 7 }), ...change },
  ];
  const running = (extra: object) => ({
    Status: { Timestamp: '2026-01-01T00:00:00Z', State: 'running', Message: '', ...extra },
    Endpoint: {
      Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 443, PublishMode: 'ingress' }],
    },
    NetworksAttachments: [
      { Network: { ID: 'net', Spec: { Name: 'ingress' } }, Addresses: ['10.240.1.77/32'] },
    ],
  });
  const node = (id: string, change: object): [Kind, Record<string, unknown>] => [
    'node',
    { ...nodeDraft(id), ...change },
  ];
  const service = (id: string, change: object): [Kind, Record<string, unknown>] => [
    'service',
    { ...serviceDraft(id), ...change },
  ];
  const { Spec } = serviceDraft('x');
  return [
    task('t-ports', running({ PortStatus: { Ports: {} } })),
    task('t-status', { Status: null }),
    task('t-state', running({ State: 'flying' })),
    task('t-time', running({ Timestamp: BIG })),
    task('t-desired', { DesiredState: 5 }),
    task('t-endpoint', { Endpoint: { Ports: [null] } }),
    task('t-noendpoint', { Endpoint: undefined }),
    task('t-slot', { Slot: BIG }),
    task('t-service', { ServiceID: { a: 1 } }),
    task('t-node', { NodeID: 'no/such node' }),
    task('t-spec', { Spec: null, Status: { ...taskDraft('x').Status, State: 'pending' } }),
    task('t-attached', {
      ...running({}),
      NetworksAttachments: [{ Network: null, Addresses: 'x' }],
    }),
    task('t-restart', { Restart: { NotBefore: new Date(0) } }),
    node('n-big', { Description: { ...nodeDraft('x').Description, Resources: { NanoCPUs: BIG } } }),
    node('n-engine', { Description: { Hostname: 'x', Engine: null } }),
    node('n-text', { Description: 'none' }),
    node('n-status', { Status: undefined }),
    node('n-spec', { Spec: undefined }),
    node('n-role', { Role: 'emperor' }),
    node('n-labels', { Spec: { ...nodeDraft('x').Spec, Labels: { zone: { a: BIG } } } }),
    node('n-mesh', { Mesh: { Index: 'one', Address: 'x\n', Subnet: '10.0.0.0/8' } }),
    // It could take tasks of the good service, but has no addresses for them.
    node('n-subnet', {
      Spec: { ...nodeDraft('x').Spec, Labels: { good: 'yes' } },
      Mesh: { Index: 77, Address: '198.18.0.77', Subnet: 'fd00::/64' },
    }),
    service('s-nospec', { Spec: undefined }),
    service('s-mode', { Spec: { ...Spec, Name: 's-mode', Mode: null } }),
    service('s-replicas', {
      Spec: { ...Spec, Name: 's-r', Mode: { Replicated: { Replicas: BIG } } },
    }),
    service('s-many', {
      Spec: { ...Spec, Name: 's-m', Mode: { Replicated: { Replicas: Number.MAX_SAFE_INTEGER } } },
    }),
    service('s-both', {
      Spec: { ...Spec, Name: 's-b', Mode: { Replicated: { Replicas: 1 }, Global: {} } },
    }),
    service('s-none', { Spec: { ...Spec, Name: 's-none', Mode: {} } }),
    service('s-jobs', {
      Spec: { ...Spec, Name: 's-j', Mode: { ReplicatedJob: { MaxConcurrent: 9e15 } } },
    }),
    service('s-place', {
      Spec: {
        ...Spec,
        Name: 's-p',
        TaskTemplate: { ForceUpdate: 0, Placement: { Constraints: {} } },
      },
    }),
    service('s-endpoint', { Endpoint: { Ports: {} } }),
    service('s-update', { UpdateStatus: { State: 5 } }),
    service('s-version', { SpecVersion: null }),
    ['network', { ID: 'net-1', Spec: { Name: 'net-1', Ingress: 'yes' } }],
    ['network', { ID: 'net-2' }],
    ['secret', { ID: 'secret-1', Spec: { Name: { a: 1 } } }],
    ['config', { ID: 'config-1', Spec: 7 }],
    ['revision', { ID: 's-mode-1', ServiceID: 's-mode', Number: 1, Spec: 7 }],
    ['cluster', { ID: 'cluster-1', Spec: { Orchestration: null, Dispatcher: BIG } }],
  ];
}

/** A running task of the good service may be a mended bad one. */
async function serves(world: HostileWorld, image: RegExp): Promise<void> {
  await world.clock.advance(60_000);
  const served = world.served();
  if (served.length === 2 && served.every((one) => image.test(one ?? ''))) return;
  throw new Error(`the good service runs ${JSON.stringify(served)}: ${world.errors.join('\n')}`);
}

test('a new leader serves the rest, whatever bad objects it finds', async (t) => {
  const world = new HostileWorld();
  for (const [kind, body] of badObjects()) await world.store.injectObject(kind, body);
  await world.addGood();
  world.start();
  await serves(world, /^nginx/);
  await world.updateGood('nginx:2');
  await serves(world, /^nginx:2$/);
  t.true(world.meshIsCurrent());
  t.deepEqual(world.errors, [], 'no loop and no watcher came upon a fault');
  const named = world.warnings.filter((line) => line.startsWith('a stored object'));
  t.is(
    world.store.setAside('task', 't-status'),
    undefined,
    'tasks that cannot be read are deleted',
  );
  t.truthy(world.store.setAside('service', 's-mode'), 'a wish is not');
  for (const [kind, body] of badObjects()) {
    if (body.ID === 'n-subnet') continue;
    const lines = named.filter((line) =>
      line.includes(`"kind":"${kind}","id":"${String(body.ID)}"`),
    );
    t.true(lines.length > 0, `${kind} ${String(body.ID)} is named`);
  }
  await world.stop();
});

test('a running leader serves the rest, whatever comes', async (t) => {
  const world = new HostileWorld();
  await world.addGood();
  world.start();
  await serves(world, /^nginx/);
  for (const [kind, body] of badObjects()) {
    await world.store.injectObject(kind, body);
    await world.clock.advance(200);
  }
  await world.updateGood('nginx:2');
  await serves(world, /^nginx:2$/);
  t.true(world.meshIsCurrent());
  t.deepEqual(world.errors, []);
  await world.stop();
});

test('the dispatcher of a new leader copes with whatever it finds, and its timers do not fail', async (t) => {
  const world = new HostileWorld();
  for (const [kind, body] of badObjects()) await world.store.injectObject(kind, body);
  await world.addGood();
  const dispatcher = createDispatcher(world.context);
  dispatcher.start();
  await world.clock.advance(60_000);
  for (const [kind, body] of badObjects()) {
    await world.store.injectObject(kind, { ...body, ID: `${String(body.ID)}-2` }).catch(() => {});
  }
  // Nodes without a session are given up after a day.
  await world.clock.advance(25 * 60 * 60 * 1000);
  t.is(world.store.get('node', 'n-engine')?.Status.State, 'down');
  t.deepEqual(world.errors, []);
  await dispatcher.stop();
});

test('tasks of unreadable services and nodes, and unreadable members, are left as they are', async (t) => {
  const world = new HostileWorld();
  await world.store.injectObject('service', {
    ...serviceDraft('web'),
    Spec: { Name: 'web', Mode: 7 },
  });
  await world.store.injectObject('node', { ...nodeDraft('n1'), Role: 'emperor' });
  const State = 'running' as const;
  const Status = { Timestamp: '2026-01-01T00:00:00Z', State, Message: '' };
  await put(world.store, 'task', taskDraft('t1', { ServiceID: 'web', NodeID: 'n1', Status }));
  await put(world.store, 'task', taskDraft('t2', { ServiceID: 'web' }));
  world.start();
  await world.clock.advance(60_000);
  t.like(world.store.get('task', 't1'), { DesiredState: 'running', Status: { State: 'running' } });
  t.regex(world.store.get('task', 't2')?.Status.Err ?? '', /cannot be read \(Spec/);
  t.truthy(world.store.setAside('node', 'n1'));
  await world.store.transact((tx) => removeUnreadable(tx, 'web', world.clock.now()));
  await world.clock.advance(5_000);
  t.is(world.store.get('task', 't1')?.DesiredState, 'remove', 'once it is removed they go');
  t.is(world.store.get('task', 't2'), undefined);
  await world.stop();
});

test('objects damaged at any place, before and after the start, do not stop the good service', async (t) => {
  const kinds = fc.constantFrom<Kind>(
    'node',
    'service',
    'task',
    'network',
    'secret',
    'config',
    'revision',
    'cluster',
  );
  const many = fc.array(fc.tuple(kinds, spoils), { minLength: 1, maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(many, many, async (before, after) => {
      const world = new HostileWorld();
      let number = 0;
      const inject = async (all: typeof before) => {
        for (const [kind, spoilt] of all) {
          number += 1;
          const body = spoil(fullDraft(kind, `bad-${number}`), spoilt);
          // A name or a second cluster may be taken: then it is rejected, as it should be.
          await world.store.injectObject(kind, body).catch(() => {});
        }
      };
      await inject(before);
      await world.addGood();
      world.start();
      await inject(after);
      await serves(world, /^nginx/);
      // Damages bad objects in another way.
      for (const kind of KINDS) {
        for (const object of [...world.store.list(kind)]) {
          if (!object.ID.startsWith('bad-')) continue;
          const { Version, CreatedAt: _c, UpdatedAt: _u, ...body } = object;
          const next = spoil(body, after[0]![1]) as Body;
          const change = { action: 'update', kind, body: next, expected: Version.Index } as const;
          await world.store.inject(change).catch(() => {});
        }
      }
      await world.updateGood('nginx:2');
      await serves(world, /^nginx:2$/);
      t.true(world.meshIsCurrent());
      t.deepEqual(world.errors, []);
      await world.stop();
    }),
    { numRuns: 25 },
  );
});
