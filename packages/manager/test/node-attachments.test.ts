import { type AttachRequest, isAttachment, type NetworkSpec, type Task } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test, { type ExecutionContext } from 'ava';
import { AddressBook } from '../src/allocator/index.js';
import { attachmentRoutes } from '../src/attachments/attachment-routes.js';
import { NodeAttachments } from '../src/attachments/node-attachments.js';
import { TaskConnections } from '../src/attachments/task-connections.js';
import { AssignmentSet } from '../src/dispatcher/assignment-set.js';
import { meshState } from '../src/dispatcher/index.js';
import { TaskReaper } from '../src/orchestrator/task-reaper.js';
import { servingTask } from './dispatcher/harness.js';
import { ingressDraft, nodeDraft, put } from './support/objects.js';
import { START_MS } from './support/start-time.js';
import { createTestStore } from './support/test-store.js';
import { silentLogger } from '@swarm/api';
import { randomBytes } from 'node:crypto';

const CONTAINER = 'a1b2c3d4e5f6'.padEnd(64, '0');
const OTHER = 'f'.repeat(64);
const MESH = { Index: 1, Address: '198.18.0.7', Subnet: '10.240.1.0/24' };

function network(id: string, subnet: string, change: Partial<NetworkSpec> = {}) {
  const Gateway = subnet.replace(/0\/\d+$/, '1');
  return {
    ID: id,
    Spec: {
      Name: id,
      Labels: { secret: 'label' },
      Driver: 'overlay',
      DriverOpts: {},
      Internal: false,
      Attachable: true,
      Ingress: false,
      IPv6Enabled: false,
      Scope: 'swarm' as const,
      ...change,
    },
    Subnets: [{ Subnet: subnet, Gateway }],
    VNI: 4200,
  };
}

async function world(t: ExecutionContext) {
  const store = createTestStore();
  const clock = new VirtualClock(START_MS);
  const context = { store, clock, logger: silentLogger, randomBytes };
  await put(store, 'network', ingressDraft());
  await put(store, 'network', network('open', '10.77.0.0/24'));
  await put(store, 'network', network('more', '10.78.0.0/24'));
  await put(store, 'network', network('tiny', '10.79.0.0/30'));
  await put(store, 'network', network('shut', '10.80.0.0/24', { Attachable: false }));
  await put(store, 'node', nodeDraft('n1', { Mesh: MESH }));
  await put(store, 'node', nodeDraft('n2', { Mesh: { ...MESH, Index: 2 } }));
  const addresses = new AddressBook(context);
  addresses.start();
  const reaper = new TaskReaper(context);
  reaper.start();
  t.teardown(async () => {
    await reaper.stop();
    await addresses.stop();
  });
  const attachments = new NodeAttachments({ store, addresses, clock, randomBytes });
  return { store, clock, attachments, addresses };
}

function asks(change: Partial<AttachRequest> = {}): AttachRequest {
  return {
    ContainerID: CONTAINER,
    Name: 'guest',
    Networks: [{ Target: 'open', Aliases: ['alias'] }],
    Ports: [],
    ...change,
  };
}

function addresses(task: Task): string[] {
  return (task.NetworksAttachments ?? []).flatMap(({ Addresses }) => Addresses);
}

test('a container gets addresses at once, and others find it by its names', async (t) => {
  const { store, attachments } = await world(t);
  const { Task: task, Networks } = await attachments.attach('n1', asks());
  t.true(isAttachment(task));
  t.is(task.Status.State, 'running');
  t.regex(addresses(task)[0]!, /^10\.77\.0\.\d+\/32$/);
  t.deepEqual(
    Networks.map(({ ID, Spec }) => [ID, Spec.Labels]),
    [['open', {}]],
  );
  const [member] = meshState(store, 1).members ?? [];
  t.like(member, { taskId: task.ID, nodeId: 'n1', serviceId: '' });
  t.deepEqual(member?.names, ['guest', 'a1b2c3d4e5f6', 'alias']);
});

test('asked again it keeps its addresses, and gets or loses those of other networks', async (t) => {
  const { attachments } = await world(t);
  const first = await attachments.attach('n1', asks());
  const both = asks({
    Networks: [
      { Target: 'open', Aliases: [] },
      { Target: 'more', Aliases: [] },
    ],
  });
  const second = await attachments.attach('n1', both);
  t.is(second.Task.ID, first.Task.ID);
  t.is(addresses(second.Task)[0], addresses(first.Task)[0]);
  t.is(addresses(second.Task).length, 2);
  const third = await attachments.attach('n1', asks());
  t.deepEqual(addresses(third.Task), addresses(first.Task));
});

test('published ports give it an address of its node as well', async (t) => {
  const { attachments } = await world(t);
  const port = { Protocol: 'tcp', TargetPort: 80, PublishedPort: 90, PublishMode: 'host' } as const;
  const { Task: task } = await attachments.attach('n1', asks({ Ports: [port] }));
  t.regex(addresses(task)[1]!, /^10\.240\.1\./);
});

test('it holds them until its own node gives them back, and no other node can', async (t) => {
  const { store, attachments } = await world(t);
  const { Task: task } = await attachments.attach('n1', asks());
  await attachments.release('n2', [task.ID]);
  t.deepEqual(attachments.list('n1'), [{ TaskID: task.ID, ContainerID: CONTAINER }]);
  t.deepEqual(attachments.list('n2'), []);
  await attachments.release('n1', [task.ID, 'unknown']);
  t.is(store.get('task', task.ID), undefined);
});

test('a node cannot give back a task of a service', async (t) => {
  const { store, attachments } = await world(t);
  const { Task: task } = await attachments.attach('n1', asks());
  const { NetworkAttachmentSpec: _, ...Spec } = task.Spec;
  const { Version: _v, CreatedAt: _c, UpdatedAt: _u, ...draft } = task;
  await put(store, 'task', { ...draft, ID: 'service', Spec, ServiceID: 'web' });
  await attachments.release('n1', ['service']);
  t.not(store.get('task', 'service'), undefined);
});

test('no agent gets it to run', async (t) => {
  const { store, attachments } = await world(t);
  await attachments.attach('n1', asks());
  const set = new AssignmentSet({
    nodeId: 'n1',
    view: store,
    isHeld: () => false,
    needed: () => {},
  });
  t.deepEqual(set.take({ changes: 10, bytes: 1e6 })?.message.changes, []);
});

test('it goes with its node, and when its node was given up', async (t) => {
  const { store, attachments, clock } = await world(t);
  const { Task: first } = await attachments.attach('n1', asks());
  const { Task: second } = await attachments.attach('n2', asks({ ContainerID: OTHER }));
  await store.transact((transaction) => {
    transaction.remove('node', 'n1');
    const task = transaction.get('task', second.ID)!;
    transaction.update('task', { ...task, Status: { ...task.Status, State: 'orphaned' } });
  });
  await clock.advance(5_000);
  t.is(store.get('task', first.ID), undefined);
  t.is(store.get('task', second.ID), undefined);
});

test('it stays while its node is only down', async (t) => {
  const { store, attachments, clock } = await world(t);
  const { Task: task } = await attachments.attach('n1', asks());
  await store.transact((transaction) => {
    const node = transaction.get('node', 'n1')!;
    transaction.update('node', { ...node, Status: { ...node.Status, State: 'down' } });
  });
  await clock.advance(60_000);
  t.not(store.get('task', task.ID), undefined);
});

test('refuses networks that are not attachable, unknown, or full, and names that are none', async (t) => {
  const { attachments, clock } = await world(t);
  const on = (Target: string, more: Partial<AttachRequest> = {}) =>
    attachments.attach('n1', asks({ Networks: [{ Target, Aliases: [] }], ...more }));
  await t.throwsAsync(on('shut'), {
    message: /Could not attach to network shut: .* not manually attachable/,
    code: 'PERMISSION_DENIED',
  });
  await t.throwsAsync(on('ingress'), { code: 'PERMISSION_DENIED' });
  await t.throwsAsync(on('none'), { code: 'NOT_FOUND' });
  await t.throwsAsync(on('open', { ContainerID: 'short' }), { code: 'INVALID_ARGUMENT' });
  await t.throwsAsync(on('open', { Name: 'a b' }), { code: 'INVALID_ARGUMENT' });
  const open = { Protocol: 'tcp', TargetPort: 80, PublishMode: 'host' } as const;
  await t.throwsAsync(on('open', { Ports: [open] }), { code: 'INVALID_ARGUMENT' });
  let refused: unknown;
  for (let at = 0; at < 4 && refused === undefined; at += 1) {
    const asked = on('tiny', { ContainerID: String(at).repeat(64) });
    const settled = asked.catch((error: unknown) => {
      refused = error;
    });
    await clock.advance(3_000);
    await settled;
  }
  t.regex((refused as Error).message, /the network tiny has no free address/);
});

test('a node that asks without end is slowed down', async (t) => {
  const { attachments, clock } = await world(t);
  const list = attachmentRoutes(attachments, clock).find(
    ({ right }) => right === 'GET /attachments',
  )!;
  const flood = async () => {
    for (let at = 0; at < 1_000; at += 1) await list.handle('n1', undefined);
  };
  await t.throwsAsync(flood(), { code: 'OVERLOADED' });
  await t.notThrowsAsync(list.handle('n2', undefined));
  await clock.advance(1_000);
  await t.notThrowsAsync(list.handle('n1', undefined));
});

test('a running task is connected to a network until it ends, and its spec stays', async (t) => {
  const { store, addresses: book } = await world(t);
  const connections = new TaskConnections(store, book);
  const attachment = {
    Network: { ID: 'open', Spec: { Name: 'open' } },
    Addresses: ['10.77.0.9/32'],
  };
  const task = servingTask('task', 'n1', 'running', { NetworksAttachments: [attachment] });
  await put(store, 'task', task);
  await put(store, 'task', servingTask('bare', 'n1', 'running', { NetworksAttachments: [] }));
  await connections.connect('more', 'task');
  const connected = store.get('task', 'task')!;
  t.deepEqual(connected.Spec, task.Spec);
  t.deepEqual(connected.NetworksAttachments?.[0], attachment);
  t.regex(addresses(connected)[1]!, /^10\.78\.0\.\d+\/32$/);
  await t.throwsAsync(connections.connect('more', 'task'), {
    message: /already exists in network/,
  });
  await t.throwsAsync(connections.connect('shut', 'task'), { code: 'PERMISSION_DENIED' });
  await t.throwsAsync(connections.connect('more', 'bare'), {
    message: /no network of the cluster/,
  });
  await t.throwsAsync(connections.connect('more', 'none'), { code: 'NOT_FOUND' });
  await connections.disconnect('more', 'task');
  t.deepEqual(store.get('task', 'task')?.NetworksAttachments, [attachment]);
  await t.throwsAsync(connections.disconnect('more', 'task'), { code: 'NOT_FOUND' });
});
