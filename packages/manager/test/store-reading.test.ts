import type { NodeMesh, Task } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import type { Body } from '../src/store/command.js';
import { KINDS } from '../src/store/kinds.js';
import { MENDS } from '../src/store/mends.js';
import { readDraft, readObject } from '../src/store/reading.js';
import type { Kind } from '../src/store/store.js';
import { fullDraft, spoil, spoils, STRANGE } from './support/hostile.js';
import { nodeDraft, put, serviceDraft, taskDraft } from './support/objects.js';
import { createTestStore } from './support/test-store.js';

const META = {
  Version: { Index: 3 },
  CreatedAt: '2026-01-01T00:00:00.000Z',
  UpdatedAt: '2026-01-01T00:00:00.000Z',
};

function stored(kind: Kind, id = 'x'): object {
  return { ...fullDraft(kind, id), ...META };
}

test('a good object is read as the stored object itself', (t) => {
  for (const kind of KINDS) {
    const object = stored(kind);
    const { object: read, faults } = readObject(kind, object);
    t.is(read as object, object, kind);
    t.deepEqual(faults, []);
  }
});

test('whatever is stored, what is read has the shape of its kind, a JSON form, and fits the log', (t) => {
  let mended = 0;
  let aside = 0;
  fc.assert(
    fc.property(fc.constantFrom(...KINDS), spoils, (kind, all) => {
      const { object, faults } = readObject(kind, spoil(stored(kind), all));
      if (object === undefined) {
        aside += 1;
        t.true(faults.length > 0);
        return;
      }
      if (faults.length > 0) mended += 1;
      t.deepEqual(readDraft(kind, object), object, 'it can be written again as it is');
      t.is(readObject(kind, object).object, object);
      t.deepEqual(JSON.parse(JSON.stringify(object)), JSON.parse(JSON.stringify({ ...object })));
    }),
    { numRuns: 3_000 },
  );
  t.true(mended > 100 && aside > 100, `${mended} mended, ${aside} set aside`);
});

test('each part that can be spared is left out when it is bad, whatever it holds', (t) => {
  for (const kind of KINDS) {
    for (const { path } of MENDS[kind]) {
      for (const value of STRANGE) {
        const names = path.split('.');
        const object = structuredClone(stored(kind)) as Record<string, unknown>;
        let at = object;
        for (const name of names.slice(0, -1)) {
          at[name] ??= {};
          at = at[name] as Record<string, unknown>;
        }
        at[names.at(-1)!] = value;
        t.truthy(readObject(kind, object).object, `${kind} ${path} ${String(value)}`);
      }
    }
  }
});

test('what a user asked for is never guessed: such an object is set aside', (t) => {
  const service = stored('service') as { Spec: object };
  for (const Spec of [undefined, { ...service.Spec, Mode: 7 }, { ...service.Spec, Name: {} }]) {
    const { object, faults } = readObject('service', { ...service, Spec });
    t.is(object, undefined);
    t.regex(faults[0]!, /^Spec/);
  }
  const node = stored('node') as { Spec: object };
  t.is(readObject('node', { ...node, Spec: { ...node.Spec, Role: 'admin' } }).object, undefined);
  t.is(readObject('task', { ...stored('task'), DesiredState: 'flying' }).object, undefined);
});

test('fields that are not known are left out, and parts that were read already are not read again', (t) => {
  const node = stored('node') as { Description: object };
  const newer = { ...node, Shiny: 1, Description: { ...node.Description, Colour: 'red' } };
  const { object, faults } = readObject('node', newer);
  t.deepEqual(object as object, node);
  t.deepEqual(faults, []);
  const Spec = { anything: 'at all' };
  const { object: trusted } = readObject('task', { ...stored('task'), Spec }, { Spec });
  t.is(trusted?.Spec as unknown, Spec);
});

test('a part is not taken for good because it equals one of another shape', async (t) => {
  const store = createTestStore();
  await put(store, 'service', serviceDraft('service'));
  // As the service has it, but a task's endpoint always has ports.
  const Endpoint = { Spec: {} };
  await store.injectObject('task', { ...taskDraft('t1'), Endpoint });
  t.is(store.get('task', 't1'), undefined);
  await t.throwsAsync(
    store.transact((tx) => {
      const { Endpoint: same } = tx.get('service', 'service')!;
      tx.create('task', taskDraft('t2', { Endpoint: same as never }));
    }),
    { message: /Endpoint.Ports: is missing/ },
  );
});

test('a removed node stays refused when its term cannot be read', (t) => {
  const RemovedNodes = { n1: { Until: 5n }, n2: { Until: '2026-02-01T00:00:00Z' }, 'a b': null };
  const cluster = stored('cluster') as { Private: object };
  const { object } = readObject('cluster', {
    ...cluster,
    Private: { ...cluster.Private, RemovedNodes },
  });
  t.deepEqual(Object.keys(object?.Private.RemovedNodes ?? {}), ['n1', 'n2']);
  t.is(object?.Private.RemovedNodes.n2?.Until, '2026-02-01T00:00:00Z');
  t.true(Date.parse(object?.Private.RemovedNodes.n1?.Until ?? '') > Date.UTC(9000, 0));
});

test('readers see the mended object, and the first write of it mends what is stored', async (t) => {
  const store = createTestStore();
  await put(store, 'service', serviceDraft('service'));
  await store.injectObject('task', {
    ...taskDraft('t1'),
    Status: { ...taskDraft('t1').Status, PortStatus: { Ports: {} }, Err: 5 },
    Unknown: 1n,
  });
  const task = store.get('task', 't1') as Task;
  t.is(task.Status.PortStatus, undefined);
  t.is(task.Status.Err, undefined);
  t.is((store.stored('task', 't1') as { Unknown: bigint }).Unknown, 1n);
  await store.transact((tx) => tx.update('task', { ...task, DesiredState: 'shutdown' }));
  const { Version: _v, UpdatedAt: _u, ...written } = store.stored('task', 't1') as Task;
  const { Version: __v, UpdatedAt: __u, ...expected } = { ...task, DesiredState: 'shutdown' };
  t.deepEqual(written, expected as never);
});

test('an object that cannot be read is not shown, keeps its name and id, and can be removed', async (t) => {
  const store = createTestStore();
  const changes = store.record();
  await store.injectObject('service', { ...serviceDraft('web'), Spec: { Name: 'Web', Mode: 5n } });
  t.is(store.get('service', 'web'), undefined);
  t.is(store.byName('service', 'web'), undefined);
  t.is(store.count('service'), 0);
  t.deepEqual([...store.list('service')], []);
  t.like(store.setAside('service', 'web'), { id: 'web', version: 1 });
  t.like(store.setAside('service', 'WEB'), { id: 'web' }, 'by its name, too');
  t.deepEqual(changes, [], 'nobody hears of it');
  const taken = serviceDraft('other', {}, { Name: 'web' });
  await t.throwsAsync(
    store.transact((tx) => tx.create('service', taken)),
    { message: /already exists/ },
  );
  await t.throwsAsync(
    store.transact((tx) => tx.create('service', serviceDraft('web', {}, { Name: 'b' }))),
    { message: /already exists/ },
  );
  await store.transact((tx) => tx.remove('service', 'web'));
  t.is(store.setAside('service', 'web'), undefined);
  t.is(store.stored('service', 'web'), undefined);
  await store.transact((tx) => tx.create('service', taken));
});

test('to readers an object is removed when it becomes unreadable, and created when it is readable again', async (t) => {
  const store = createTestStore();
  const node = await put(store, 'node', nodeDraft('n'));
  const changes = store.record();
  const { Version, CreatedAt: _c, UpdatedAt: _u, ...body } = node;
  await store.inject({
    action: 'update',
    kind: 'node',
    body: { ...body, Role: 'emperor' } as Body,
    expected: Version.Index,
  });
  t.is(store.get('node', 'n'), undefined);
  const mesh: NodeMesh = { Index: 1, Address: '', Subnet: '10.240.1.0/24' };
  const good = { ...body, Mesh: mesh } as Body;
  await store.inject({ action: 'update', kind: 'node', body: good, expected: 2 });
  t.is(store.get('node', 'n')?.Mesh?.Index, 1);
  t.deepEqual(
    changes.flatMap(({ events }) => events.map(({ action }) => action)),
    ['remove', 'create'],
  );
});

test('a draft without the shape of its kind is refused with the name of the object and the field', async (t) => {
  const store = createTestStore();
  await put(store, 'node', nodeDraft('n'));
  const entries = store.entries;
  await t.throwsAsync(
    store.transact((tx) => tx.create('task', taskDraft('t', { Slot: 5n as never }))),
    { message: 'task t cannot be stored: Slot: must be a whole number, not a bigint' },
  );
  await t.throwsAsync(
    store.transact((tx) => {
      const node = tx.get('node', 'n')!;
      tx.update('node', { ...node, Description: { ...node.Description!, Resources: 4 as never } });
    }),
    { code: 'INTERNAL', message: /node n cannot be stored: Description.Resources: must be/ },
  );
  t.is(store.entries, entries, 'nothing was proposed');
  await store.transact((tx) => {
    tx.update('node', { ...tx.get('node', 'n')!, Unknown: 1 } as never);
  });
  t.false('Unknown' in store.stored('node', 'n')!, 'what nobody knows does not reach the log');
});
