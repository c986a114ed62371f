import { ApiError, type Logger, silentLogger, type Task } from '@swarm/api';
import test from 'ava';
import { applyCommand } from '../src/store/apply.js';
import { transactInBatches } from '../src/store/batches.js';
import type { StoreChange, View } from '../src/store/store.js';
import { Tables } from '../src/store/tables.js';
import {
  clusterDraft,
  networkDraft,
  nodeDraft,
  patch,
  put,
  revisionDraft,
  serviceDraft,
  taskDraft,
} from './support/objects.js';
import { createTestStore } from './support/test-store.js';
import { settle, VirtualClock } from '@swarm/sim';
import { START_MS } from './support/start-time.js';

const code = (error: unknown) => (error as ApiError).code;
const ids = (objects: Iterable<{ readonly ID: string }>) => [...objects].map(({ ID }) => ID);

test('a created object is found by id and name, with version and times of its entry', async (t) => {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const web = await put(store, 'service', serviceDraft('s1', {}, { Name: 'web' }));
  t.is(store.byName('service', 'web'), web);
  t.is(store.byName('service', 'WEB'), web);
  t.is(store.byName('network', 'web'), undefined);
  t.deepEqual(web.Version, { Index: 1 });
  t.is(web.CreatedAt, '2026-01-01T00:00:00.000Z');
  await clock.advance(1500);
  const renamed = await patch(store, 'service', 's1', (old) => ({
    ...old,
    Spec: { ...old.Spec, Name: 'shop' },
  }));
  t.deepEqual(renamed.Version, { Index: 2 });
  t.is(renamed.CreatedAt, '2026-01-01T00:00:00.000Z');
  t.is(renamed.UpdatedAt, '2026-01-01T00:00:01.500Z');
  t.is(store.byName('service', 'web'), undefined);
  t.is(store.byName('service', 'shop'), renamed);
});

test('iteration is in order of id, whatever the order of creation', async (t) => {
  const store = createTestStore();
  for (const id of ['m', 'a', 'z', 'c']) await put(store, 'node', nodeDraft(id));
  t.deepEqual(ids(store.list('node')), ['a', 'c', 'm', 'z']);
  t.is(store.count('node'), 4);
});

test('an iteration goes on over the ids it began with while objects come and go', async (t) => {
  const store = createTestStore();
  for (const id of ['a', 'c', 'e']) await put(store, 'node', nodeDraft(id));
  const iterator = store.list('node')[Symbol.iterator]();
  t.is(iterator.next().value?.ID, 'a');
  await store.transact((transaction) => {
    transaction.remove('node', 'a');
    transaction.remove('node', 'c');
    transaction.create('node', nodeDraft('b'));
  });
  t.is(iterator.next().value?.ID, 'e');
  t.true(iterator.next().done);
});

test('tasks are indexed by service, node and slot, and move when these change', async (t) => {
  const store = createTestStore();
  await put(store, 'task', taskDraft('t1'));
  await put(store, 'task', taskDraft('t2', { Slot: 2, NodeID: 'n1' }));
  t.deepEqual(ids(store.tasksByService('service')), ['t1', 't2']);
  t.deepEqual(ids(store.tasksBySlot('service', 2)), ['t2']);
  t.deepEqual(ids(store.tasksByNode('n1')), ['t2']);
  await patch(store, 'task', 't1', (task) => ({ ...task, NodeID: 'n1' }));
  t.deepEqual(ids(store.tasksByNode('n1')), ['t1', 't2']);
  await store.transact((transaction) => transaction.remove('task', 't2'));
  t.deepEqual(ids(store.tasksByNode('n1')), ['t1']);
  t.deepEqual(ids(store.tasksBySlot('service', 2)), []);
});

test('managers are found by role or by their Raft id, in a transaction too', async (t) => {
  const store = createTestStore();
  const node = (id: string, Role: 'manager' | 'worker') =>
    nodeDraft(id, { Spec: { ...nodeDraft(id).Spec, Role } });
  const ids = (nodes: Iterable<{ readonly ID: string }>) => [...nodes].map(({ ID }) => ID);
  for (const [id, role] of [
    ['n2', 'manager'],
    ['n1', 'manager'],
    ['n3', 'worker'],
  ] as const)
    await put(store, 'node', node(id, role));
  t.deepEqual(ids(store.managers()), ['n1', 'n2']);
  await store.transact((transaction) => {
    transaction.update('node', { ...transaction.get('node', 'n3')!, RaftID: 7 });
    transaction.remove('node', 'n1');
    t.deepEqual(ids(transaction.managers()), ['n2', 'n3']);
  });
  t.deepEqual(ids(store.managers()), ['n2', 'n3']);
  store.reset();
  t.deepEqual(ids(store.managers()), ['n2', 'n3']);
});

test('the ingress network is found by its flag, in a transaction too', async (t) => {
  const store = createTestStore();
  const ingress = (id: string) =>
    networkDraft(id, { Spec: { ...networkDraft(id).Spec, Ingress: true } });
  await put(store, 'network', networkDraft('ingress'));
  t.is(store.ingressNetwork(), undefined, 'a name makes no ingress network');
  await put(store, 'network', ingress('n2'));
  await store.transact((transaction) => {
    t.is(transaction.ingressNetwork()?.ID, 'n2');
    transaction.create('network', ingress('n1'));
    t.is(transaction.ingressNetwork()?.ID, 'n1');
    transaction.remove('network', 'n2');
  });
  t.is(store.ingressNetwork()?.ID, 'n1');
  store.reset();
  t.is(store.ingressNetwork()?.ID, 'n1');
  await store.transact((transaction) => transaction.remove('network', 'n1'));
  t.is(store.ingressNetwork(), undefined);
});

test('only the transaction itself sees its changes before they are applied', async (t) => {
  const store = createTestStore();
  await put(store, 'task', taskDraft('t2'));
  await put(store, 'task', taskDraft('t4'));
  const done = store.transact((transaction) => {
    transaction.create('task', taskDraft('t3'));
    transaction.create('task', taskDraft('t1', { ServiceID: 'other' }));
    transaction.remove('task', 't4');
    t.deepEqual(ids(transaction.list('task')), ['t1', 't2', 't3']);
    t.deepEqual(ids(transaction.tasksByService('service')), ['t2', 't3']);
    t.is(transaction.count('task'), 3);
    t.is(transaction.get('task', 't4'), undefined);
    const t2 = transaction.get('task', 't2') as Task;
    transaction.update('task', { ...t2, NodeID: 'n1' });
    transaction.update('task', { ...transaction.get('task', 't2')!, Slot: 7 });
    t.deepEqual(ids(transaction.tasksByNode('n1')), ['t2']);
    t.deepEqual(ids(transaction.tasksBySlot('service', 7)), ['t2']);
    t.deepEqual(ids(transaction.tasksBySlot('service', 1)), ['t3']);
  });
  t.deepEqual(ids(store.list('task')), ['t2', 't4']);
  await done;
  t.deepEqual(ids(store.list('task')), ['t1', 't2', 't3']);
  t.deepEqual([store.get('task', 't2')?.NodeID, store.get('task', 't2')?.Slot], ['n1', 7]);
});

test('an object made and removed by the same transaction leaves nothing to propose', async (t) => {
  const store = createTestStore();
  const answer = await store.transact((transaction) => {
    transaction.create('node', nodeDraft('n'));
    transaction.remove('node', 'n');
    return 42;
  });
  t.is(answer, 42);
  t.is(store.entries, 0);
});

test('an error of the build reaches the caller, and nothing is proposed', async (t) => {
  const store = createTestStore();
  const error = await t.throwsAsync(
    store.transact((transaction) => {
      transaction.create('node', nodeDraft('n'));
      throw new Error('no');
    }),
  );
  t.is(error.message, 'no');
  t.is(store.count('node'), 0);
});

test('of two changes built on the same version, the second is out of sequence', async (t) => {
  const store = createTestStore();
  await put(store, 'node', nodeDraft('n'));
  const drain = () => patch(store, 'node', 'n', (node) => ({ ...node, Role: 'manager' }));
  const [first, second] = await Promise.allSettled([drain(), drain()]);
  t.is(first.status, 'fulfilled');
  const reason = (second as PromiseRejectedResult).reason as ApiError;
  t.is(reason.code, 'OUT_OF_SEQUENCE');
  t.is(reason.message, 'update out of sequence');
});

test('a stale object is refused at once, without a proposal', async (t) => {
  const store = createTestStore();
  const old = await put(store, 'node', nodeDraft('n'));
  await patch(store, 'node', 'n', (node) => ({ ...node, Role: 'manager' }));
  const entries = store.entries;
  const error = await t.throwsAsync(store.transact((tx) => tx.update('node', old)));
  t.is(code(error), 'OUT_OF_SEQUENCE');
  t.is(store.entries, entries);
});

test('update and removal of an object that is gone are out of sequence', async (t) => {
  const store = createTestStore();
  const node = await put(store, 'node', nodeDraft('n'));
  const remove = () => store.transact((transaction) => transaction.remove('node', 'n'));
  const results = await Promise.allSettled([
    remove(),
    remove(),
    store.transact((transaction) => transaction.update('node', node)),
  ]);
  t.deepEqual(
    results.map((result) => (result.status === 'rejected' ? code(result.reason) : 'done')),
    ['done', 'OUT_OF_SEQUENCE', 'OUT_OF_SEQUENCE'],
  );
});

test('of two services made at once with one name, the second is refused with its name', async (t) => {
  const store = createTestStore();
  const make = (id: string, name: string) =>
    put(store, 'service', serviceDraft(id, {}, { Name: name }));
  const [, second] = await Promise.allSettled([make('s1', 'web'), make('s2', 'Web')]);
  const reason = (second as PromiseRejectedResult).reason as ApiError;
  t.is(reason.code, 'CONFLICT');
  t.is(reason.message, 'name conflicts with an existing object: service Web already exists');
  t.is(code(await t.throwsAsync(make('s3', 'WEB'))), 'CONFLICT');
  await put(store, 'network', networkDraft('web'));
  t.is(store.count('service'), 1);
});

test('a refused entry changes nothing at all', async (t) => {
  const store = createTestStore();
  await put(store, 'node', nodeDraft('n'));
  const events = store.record();
  store.pause();
  const first = patch(store, 'node', 'n', (node) => ({ ...node, Role: 'manager' }));
  const second = store.transact((transaction) => {
    transaction.create('task', taskDraft('t'));
    transaction.update('node', transaction.get('node', 'n')!);
  });
  store.resume();
  await first;
  await t.throwsAsync(second);
  t.is(store.get('task', 't'), undefined);
  t.is(events.length, 1);
});

test('a transaction can reuse the name of what it removes', async (t) => {
  const store = createTestStore();
  await put(store, 'service', serviceDraft('s1', {}, { Name: 'a' }));
  await store.transact((transaction) => {
    transaction.remove('service', 's1');
    transaction.create('service', serviceDraft('s2', {}, { Name: 'a' }));
  });
  t.is(store.byName('service', 'a')?.ID, 's2');
});

test('an entry that gives one name twice is refused, and one that swaps two names is not', (t) => {
  const tables = new Tables();
  const body = (id: string, Name: string) => serviceDraft(id, {}, { Name });
  const create = (id: string, Name: string) =>
    ({ action: 'create', kind: 'service', body: body(id, Name) }) as const;
  const twice = applyCommand(tables, 1, {
    timeMs: 0,
    changes: [create('s1', 'a'), create('s2', 'A')],
  });
  t.deepEqual(twice.result, {
    accepted: false,
    rejection: { reason: 'name-taken', kind: 'service', id: 's2', name: 'A' },
  });
  t.is(tables.count('service'), 0);
  applyCommand(tables, 2, { timeMs: 0, changes: [create('s1', 'a'), create('s2', 'b')] });
  const update = (id: string, Name: string) =>
    ({ action: 'update', kind: 'service', body: body(id, Name), expected: 2 }) as const;
  const swap = applyCommand(tables, 3, {
    timeMs: 0,
    changes: [update('s1', 'b'), update('s2', 'a')],
  });
  t.deepEqual(swap.result, { accepted: true });
  t.deepEqual([tables.byName('service', 'a')?.ID, tables.byName('service', 'b')?.ID], ['s2', 's1']);
});

test('there is one cluster object', async (t) => {
  const store = createTestStore();
  const cluster = clusterDraft('c1');
  const both = await Promise.allSettled([
    store.transact((transaction) => transaction.create('cluster', cluster)),
    store.transact((transaction) => transaction.create('cluster', clusterDraft('c2'))),
  ]);
  t.deepEqual(
    both.map(({ status }) => status),
    ['fulfilled', 'rejected'],
  );
  t.is(store.cluster()?.ID, 'c1');
});

test('watchers get each applied entry once, with the objects before and after', async (t) => {
  const store = createTestStore();
  const changes = store.record();
  const timeMs = store.timeMs();
  await put(store, 'node', nodeDraft('n'));
  const before = store.get('node', 'n');
  await patch(store, 'node', 'n', (node) => ({ ...node, Role: 'manager' }));
  const after = store.get('node', 'n');
  await store.transact((transaction) => transaction.remove('node', 'n'));
  t.deepEqual(changes, [
    {
      index: 1,
      timeMs,
      reset: false,
      events: [{ action: 'create', kind: 'node', object: before! }],
    },
    {
      index: 2,
      timeMs,
      reset: false,
      events: [{ action: 'update', kind: 'node', object: after!, previous: before! }],
    },
    {
      index: 3,
      timeMs,
      reset: false,
      events: [{ action: 'remove', kind: 'node', object: after! }],
    },
  ]);
});

test('a watcher that throws is logged and does not stop the others', async (t) => {
  const logged: string[] = [];
  const logger: Logger = { ...silentLogger, error: (_fields, message) => logged.push(message) };
  const store = createTestStore({ logger });
  store.watch(() => {
    throw new Error('mine');
  });
  const seen: StoreChange[] = [];
  const end = store.watch((change) => seen.push(change));
  await put(store, 'node', nodeDraft('a'));
  t.is(seen.length, 1);
  t.deepEqual(logged, ['a watcher of the store failed']);
  end();
  await put(store, 'node', nodeDraft('b'));
  t.is(seen.length, 1);
});

test('stored objects cannot be changed, and parts that stay equal stay identical', async (t) => {
  const store = createTestStore();
  const events = store.record();
  const service = await put(store, 'service', serviceDraft('service'));
  t.throws(() => {
    (service.Spec as { Name: string }).Name = 'other';
  });
  await patch(store, 'service', 'service', (old) => ({ ...old, SpecVersion: { Index: 9 } }));
  t.is(store.get('service', 'service')?.Spec, service.Spec);
  const task = await put(store, 'task', taskDraft('t'));
  t.is(task.Spec, service.Spec.TaskTemplate);
  const revision = await put(store, 'revision', revisionDraft('service-1'));
  t.is(revision.Spec, service.Spec);
  t.is(events.length, 4);
});

test('fields set to undefined are absent once stored', async (t) => {
  const store = createTestStore();
  const draft = { ...nodeDraft('n'), ManagerAddr: undefined } as never;
  const node = await put(store, 'node', draft);
  t.false('ManagerAddr' in node);
});

test('more than 200 changes or 1.5 MiB are refused with advice', async (t) => {
  const store = createTestStore();
  const many = await t.throwsAsync(
    store.transact((transaction) => {
      for (let i = 0; i <= 200; i++) transaction.create('task', taskDraft(`t${i}`));
    }),
  );
  t.is(code(many), 'TOO_LARGE');
  t.regex(many.message, /at most 200 objects: split it/);
  const big = await t.throwsAsync(
    store.transact((transaction) => {
      for (let i = 0; i < 4; i++)
        transaction.create('config', {
          ID: `c${i}`,
          Spec: { Name: `c${i}`, Labels: {}, Data: 'x'.repeat(400 * 1024) },
        });
    }),
  );
  t.is(code(big), 'TOO_LARGE');
  t.regex(big.message, /over the limit of 1572864: split it/);
  t.is(store.entries, 0);
});

test('batches split by count and, where objects are large, by size', async (t) => {
  const store = createTestStore();
  const numbers = Array.from({ length: 450 }, (_, i) => `t${String(i).padStart(3, '0')}`);
  await transactInBatches(store, numbers, (transaction, id) =>
    transaction.create('task', taskDraft(id)),
  );
  t.is(store.count('task'), 450);
  t.is(store.entries, 3);
  const large = ['a', 'b', 'c', 'd', 'e'];
  await transactInBatches(store, large, (transaction, id) =>
    transaction.create('config', {
      ID: id,
      Spec: { Name: id, Labels: {}, Data: 'x'.repeat(500 * 1024) },
    }),
  );
  t.is(store.count('config'), 5);
});

test('a proposal without an answer ends after ten seconds and says that it may still happen', async (t) => {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  store.pause();
  const attempt = t.throwsAsync(put(store, 'node', nodeDraft('n')));
  await clock.advance(9_999);
  t.is(clock.pending, 1);
  await clock.advance(1);
  const error = await attempt;
  t.is(code(error), 'TIMEOUT');
  t.regex(error.message, /not committed within 10 s; it may still be/);
  store.resume();
  await settle();
  t.is(store.count('node'), 1);
  t.is(clock.pending, 0);
});

for (const [raft, api] of [
  ['RAFT_NOT_LEADER', 'NO_QUORUM'],
  ['RAFT_QUORUM_LOST', 'NO_QUORUM'],
  ['RAFT_PROPOSAL_DROPPED', 'NO_QUORUM'],
  ['RAFT_PROPOSAL_UNKNOWN', 'TIMEOUT'],
  ['RAFT_STOPPED', 'TIMEOUT'],
  ['RAFT_OVERLOADED', 'OVERLOADED'],
  ['RAFT_TIMEOUT', 'TIMEOUT'],
  ['RAFT_PROPOSAL_TOO_LARGE', 'TOO_LARGE'],
  ['ELSE', 'INTERNAL'],
] as const) {
  test(`a proposal that fails with ${raft} is ${api}`, async (t) => {
    const store = createTestStore();
    store.failNext(Object.assign(new Error('raft'), { code: raft }));
    const error = await t.throwsAsync(put(store, 'node', nodeDraft('n')), { instanceOf: ApiError });
    t.is(code(error), api);
    t.is(store.count('node'), 0);
  });
}

test('a build that changes something after an await gets an error', async (t) => {
  const store = createTestStore();
  const late = await store.transact((transaction) => ({
    later: () => transaction.create('node', nodeDraft('n')),
  }));
  t.throws(late.later, { message: /the transaction is over/ });
});

test('a reset tells watchers to look at everything afresh', async (t) => {
  const store = createTestStore();
  await put(store, 'node', nodeDraft('n'));
  const changes = store.record();
  store.reset();
  t.deepEqual(changes, [{ index: 1, timeMs: 0, reset: true, events: [] }]);
  t.deepEqual(ids(store.list('node')), ['n']);
});

test('revisions are found by their service, also within a transaction', async (t) => {
  const store = createTestStore();
  const ids = (view: View, serviceId: string) =>
    [...view.revisionsByService(serviceId)].map(({ ID }) => ID);
  for (const ServiceID of ['a', 'b']) {
    await put(store, 'revision', revisionDraft(`${ServiceID}-1`, { ServiceID }));
  }
  await store.transact((tx) => {
    tx.create('revision', revisionDraft('a-2', { ServiceID: 'a', Number: 2 }));
    tx.remove('revision', 'b-1');
    t.deepEqual(ids(tx, 'a'), ['a-1', 'a-2']);
    t.deepEqual(ids(tx, 'b'), []);
  });
  t.deepEqual(ids(store, 'a'), ['a-1', 'a-2']);
  t.deepEqual(ids(store, 'b'), []);
  store.reset();
  t.deepEqual(ids(store, 'a'), ['a-1', 'a-2']);
});
