import type { NodeRole } from '@swarm/api';
import test from 'ava';
import { groupsOf } from '@swarm/manager/assembly';
import { HandshakeQueue, type Waiting } from '../../src/port/handshake-queue.js';
import { NodeAddresses } from '@swarm/manager/assembly';
import { createTestStore, nodeDraft, put, START_MS } from '@swarm/manager/testing';
import { VirtualClock } from '@swarm/sim';

interface Guest extends Waiting {
  readonly address: string;
}

class Scene {
  readonly clock = new VirtualClock(START_MS);
  readonly begun: Guest[] = [];
  readonly queue = new HandshakeQueue<Guest>(this.clock, (guest) => this.begun.push(guest));

  add(address: string, role?: NodeRole): Guest {
    const isLocal = address.startsWith('127.');
    const guest = { address, groups: groupsOf(address), roleAtAddress: role, isLocal };
    this.queue.add(guest);
    return guest;
  }

  count(prefix: string): number {
    return this.begun.filter(({ address }) => address.startsWith(prefix)).length;
  }
}

test('a single connection begins at once', (t) => {
  const scene = new Scene();
  const guest = scene.add('198.18.0.1');
  t.deepEqual(scene.begun, [guest]);
  t.is(scene.clock.pending, 0);
});

test('many from many addresses begin a few at a time', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 3000; i++) scene.add(`10.${i >> 8}.${i & 255}.1`);
  t.true(scene.begun.length < 20);
  await scene.clock.advance(1000);
  t.true(scene.begun.length >= 100 && scene.begun.length <= 120, String(scene.begun.length));
  await scene.clock.advance(30_000);
  t.is(scene.begun.length, 3000);
  t.is(scene.queue.size, 0);
  t.is(scene.clock.pending, 0);
});

test('10,000 nodes come back in 20 s despite other connections', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 4000; i++) scene.add(`11.${i >> 8}.${i & 255}.1`);
  for (let i = 0; i < 10_000; i++) scene.add(`10.${i >> 8}.${i & 255}.1`, 'worker');
  await scene.clock.advance(20_000);
  t.is(scene.count('10.'), 10_000);
  t.true(scene.count('11.') <= 2100);
});

test('managers go before 10,000 returning nodes', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 10_000; i++) scene.add(`10.${i >> 8}.${i & 255}.1`, 'worker');
  const manager = scene.add('10.0.0.9', 'manager');
  await scene.clock.advance(10);
  t.true(scene.begun.includes(manager));
});

test('for this host, which can keep us busy without a network, only the overall rate holds', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 400; i++) scene.add('127.0.0.1', 'worker');
  await scene.clock.advance(1000);
  t.is(scene.begun.length, 400);
});

test('a joining node gets its turn whatever one network sends', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 4000; i++) scene.add(`fd00:1:2:${i.toString(16)}::1`);
  const joiner = scene.add('198.18.0.1');
  await scene.clock.advance(20);
  t.true(scene.begun.includes(joiner));
});

test('hosts of one network take turns, and the oldest of a host goes first', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 16; i++) scene.add('198.18.9.9');
  const crowd = Array.from({ length: 50 }, () => scene.add('198.18.0.1'));
  const single = scene.add('198.18.0.2');
  await scene.clock.advance(40);
  t.true(scene.begun.includes(single));
  const own = scene.begun.filter(({ address }) => address === '198.18.0.1');
  t.deepEqual(own, crowd.slice(0, own.length));
});

test('one host, even a node’s, does not use up everybody’s turns', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 5000; i++) scene.add('198.18.0.1', 'worker');
  await scene.clock.advance(2000);
  t.true(scene.begun.length <= 264 + 10, String(scene.begun.length));
  const other = scene.add('198.18.0.2', 'worker');
  await scene.clock.advance(10);
  t.true(scene.begun.includes(other));
});

test('a slow event loop does not start everything it missed at once', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 3000; i++) scene.add(`10.${i >> 8}.${i & 255}.1`, 'worker');
  const before = scene.begun.length;
  // Ten seconds pass without a timer.
  scene.clock.monotonicMs = () => 10_000;
  await scene.clock.advance(10);
  t.true(scene.begun.length - before <= 16);
});

test('a connection that has closed, or waits when the queue stops, does not begin', async (t) => {
  const scene = new Scene();
  for (let i = 0; i < 100; i++) scene.add('198.18.0.1');
  const gone = scene.add('198.18.0.2');
  scene.queue.remove(gone);
  scene.queue.remove(gone);
  await scene.clock.advance(500);
  t.false(scene.begun.includes(gone));
  const before = scene.begun.length;
  scene.queue.stop();
  await scene.clock.advance(5000);
  t.is(scene.begun.length, before);
  t.is(scene.clock.pending, 0);
});

test('addresses of nodes are those in the store and those of proved nodes', async (t) => {
  const store = createTestStore();
  const node = (id: string, Addr: string) => nodeDraft(id, { Status: { State: 'ready', Addr } });
  await put(store, 'node', node('early', '198.18.0.1'));
  const addresses = new NodeAddresses(store);
  t.is(addresses.roleAt('198.18.0.1'), 'worker');
  await put(store, 'node', node('late', '198.18.0.2'));
  await put(store, 'node', node('beside', '198.18.0.2'));
  t.is(addresses.roleAt('198.18.0.2'), 'worker');
  await store.transact((transaction) => transaction.remove('node', 'late'));
  t.is(addresses.roleAt('198.18.0.2'), 'worker');
  await store.transact((transaction) => {
    const beside = transaction.get('node', 'beside')!;
    transaction.update('node', {
      ...beside,
      Status: { ...beside.Status, Addr: 'fd00::7' },
      RaftID: 7,
      ManagerAddr: '198.18.7.7:2377',
    });
  });
  t.is(addresses.roleAt('198.18.0.2'), undefined);
  t.is(addresses.roleAt(groupsOf('fd00::9')[1]), 'manager');
  t.is(addresses.roleAt('198.18.7.7'), 'manager');
  store.reset();
  t.is(addresses.roleAt('198.18.0.1'), 'worker');
  t.is(addresses.roleAt('198.18.7.7'), 'manager');
  t.is(addresses.roleAt('198.18.0.3'), undefined);
  addresses.see('198.18.0.3', 'manager');
  addresses.see('198.18.0.3', 'worker');
  t.is(addresses.roleAt('198.18.0.3'), 'manager');
  for (let i = 0; i < 16_384; i++) addresses.see(`10.0.${i >> 8}.${i & 255}`, 'worker');
  t.is(addresses.roleAt('198.18.0.3'), undefined);
  addresses.close();
  await put(store, 'node', node('after', '198.18.0.9'));
  t.is(addresses.roleAt('198.18.0.9'), undefined);
});
