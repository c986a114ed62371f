import { type Cluster, clientVersion, type Node, type Service } from '@swarm/api';
import test from 'ava';
import { demoteOthers } from '../src/recovery/take-over.js';
import { makeWorker } from '../src/role-manager/make-worker.js';
import type { SpecKind, Transaction } from '../src/store/store.js';
import { clusterDraft, nodeDraft, put, serviceDraft } from './support/objects.js';
import { createTestStore, type TestStore } from './support/test-store.js';

const DRAFTS = {
  cluster: clusterDraft('one'),
  node: nodeDraft('one'),
  service: serviceDraft('one'),
} as const;

async function world(kind: SpecKind) {
  const store = createTestStore();
  await store.transact((transaction) => transaction.create(kind, DRAFTS[kind]));
  const get = (): Cluster | Node | Service => store.get(kind, 'one')!;
  const write = (how: 'update' | 'updateSpec') =>
    store.transact((transaction) => writeIn(transaction, kind, how));
  return { store, get, write };
}

function writeIn(transaction: Transaction, kind: SpecKind, how: 'update' | 'updateSpec'): void {
  const object = transaction.get(kind, 'one')!;
  if (how === 'update') transaction.update(kind, object);
  else transaction.updateSpec(kind, object);
}

for (const kind of ['cluster', 'node', 'service'] as const) {
  test(`the cluster’s writes of a ${kind} keep the version that clients read, theirs move it`, async (t) => {
    const { get, write } = await world(kind);
    const made = get().Version.Index;
    t.is(clientVersion(get()).Index, made);
    await write('update');
    await write('update');
    t.is(clientVersion(get()).Index, made);
    t.is(get().Version.Index, made + 2);
    await write('updateSpec');
    t.is(clientVersion(get()).Index, made + 3);
    t.false('ClientVersion' in get());
    await write('update');
    t.is(clientVersion(get()).Index, made + 3);
  });

  test(`a transaction in which a client wrote a ${kind} is the client’s, whatever else it does`, async (t) => {
    for (const order of [
      ['update', 'updateSpec'],
      ['updateSpec', 'update'],
    ] as const) {
      const { store, get, write } = await world(kind);
      await write('update');
      await store.transact((transaction) => {
        for (const how of order) writeIn(transaction, kind, how);
      });
      t.is(clientVersion(get()).Index, store.index);
    }
  });
}

test('preconditions go by the stored version: what the cluster wrote meanwhile is never lost', async (t) => {
  const { store, get } = await world('service');
  const stale = get() as Service;
  await store.transact((transaction) => writeIn(transaction, 'service', 'update'));
  const error = { code: 'OUT_OF_SEQUENCE' };
  await t.throwsAsync(
    store.transact((transaction) => transaction.updateSpec('service', stale)),
    error,
  );
});

test('an object that is created and changed in one transaction has the version of its entry', async (t) => {
  const store = createTestStore();
  await store.transact((transaction) => {
    transaction.create('service', DRAFTS.service);
    writeIn(transaction, 'service', 'update');
  });
  t.false('ClientVersion' in store.get('service', 'one')!);
});

test('a client that read a node before it lost its role has to read it again', async (t) => {
  for (const lose of [
    (store: TestStore) => store.transact((transaction) => makeWorker(transaction, 'one')),
    (store: TestStore) => demoteOthers(store, 'another'),
  ]) {
    const store = createTestStore();
    const Spec = { Labels: {}, Role: 'manager', Availability: 'active' } as const;
    await put(store, 'node', nodeDraft('one', { Spec, Role: 'manager', RaftID: 1 }));
    const read = clientVersion(store.get('node', 'one')!).Index;
    await lose(store);
    t.is(store.get('node', 'one')?.Spec.Role, 'worker');
    t.not(clientVersion(store.get('node', 'one')!).Index, read);
  }
});
