import { randomBytes } from 'node:crypto';
import { type Node, PROGRAM, silentLogger } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { presentFeatureLevel } from '../../src/api/present/feature-level.js';
import { createFeatureLevel } from '../../src/feature-level/index.js';
import type { Draft } from '../../src/store/store.js';
import { clusterDraft, nodeDraft, patch, put } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';

const LEVEL = PROGRAM.FeatureLevel.Newest;

function programOf(Newest: number) {
  return { ...PROGRAM, FeatureLevel: { Oldest: 1, Newest } };
}

function manager(id: string, newest: number | undefined): Draft<'node'> {
  const node = nodeDraft(id);
  const program = newest === undefined ? {} : { Program: programOf(newest) };
  return {
    ...node,
    Role: 'manager',
    Spec: { ...node.Spec, Role: 'manager' },
    Description: { ...node.Description!, ...program },
  };
}

async function world(t: ExecutionContext, managers: readonly Draft<'node'>[]) {
  const clock = new VirtualClock();
  const store = createTestStore({ clock });
  await put(store, 'cluster', { ...clusterDraft('c'), FeatureLevel: 1 });
  for (const node of managers) await put(store, 'node', node);
  const members = managers.map(({ ID }) => ID);
  const context = { store, clock, logger: silentLogger, randomBytes };
  const loop = createFeatureLevel(context, { members: () => members });
  loop.start();
  t.teardown(() => loop.stop());
  await clock.advance(0);
  const level = async () => {
    await clock.advance(2000);
    return store.cluster()?.FeatureLevel ?? 1;
  };
  const told = (id: string, newest: number) =>
    patch(store, 'node', id, (node) => ({
      ...node,
      Description: { ...node.Description!, Program: programOf(newest) },
    }));
  return { store, clock, members, level, told, loop };
}

test('the level rises once every manager can, those that are down included', async (t) => {
  const managers = [manager('m1', LEVEL), manager('m2', LEVEL - 1), manager('m3', LEVEL - 1)];
  const { store, level, told } = await world(t, managers);
  await patch(store, 'node', 'm3', (node) => ({ ...node, Status: { State: 'down', Addr: '' } }));
  await put(store, 'node', nodeDraft('w1'));
  t.is(await level(), LEVEL - 1);
  await told('m2', LEVEL);
  t.is(await level(), LEVEL - 1);
  t.deepEqual(presentFeatureLevel(store), {
    Current: LEVEL - 1,
    Highest: LEVEL,
    WaitsFor: [{ NodeID: 'm3', Hostname: 'm3', Newest: LEVEL - 1 }],
  });
  await told('m3', LEVEL);
  t.is(await level(), LEVEL);
  t.deepEqual(presentFeatureLevel(store), { Current: LEVEL, Highest: LEVEL, WaitsFor: [] });
});

test('it rises to what all can, never beyond this program, and never falls', async (t) => {
  const { level, told } = await world(t, [manager('m1', LEVEL + 5), manager('m2', LEVEL + 7)]);
  t.is(await level(), LEVEL);
  await told('m2', 1);
  t.is(await level(), LEVEL);
});

test('a manager that has not said what it can is waited for, until it is removed', async (t) => {
  const { store, members, level } = await world(t, [
    manager('m1', LEVEL),
    manager('m2', undefined),
  ]);
  t.is(await level(), 1);
  t.deepEqual(presentFeatureLevel(store)?.WaitsFor, [{ NodeID: 'm2', Hostname: 'm2' }]);
  members.pop();
  await store.transact((transaction) => transaction.remove('node', 'm2'));
  t.is(await level(), LEVEL);
});

test('a member of the Raft group without a node is waited for', async (t) => {
  const { members, level, store } = await world(t, [manager('m1', LEVEL - 1)]);
  members.push('m2');
  await put(store, 'node', manager('m3', LEVEL));
  await patch(store, 'node', 'm1', (node: Node) => ({ ...node, ...manager('m1', LEVEL) }) as Node);
  t.is(await level(), LEVEL - 1);
  await put(store, 'node', manager('m2', LEVEL));
  t.is(await level(), LEVEL);
});

test('a worker that is promoted is waited for; one that is demoted no more', async (t) => {
  const { store, level } = await world(t, [manager('m1', LEVEL - 1)]);
  const worker = nodeDraft('w1');
  await put(store, 'node', { ...worker, Spec: { ...worker.Spec, Role: 'manager' } });
  await patch(store, 'node', 'm1', (node) => ({
    ...node,
    Description: { ...node.Description!, Program: programOf(LEVEL) },
  }));
  t.is(await level(), LEVEL - 1);
  await patch(store, 'node', 'w1', (node) => ({ ...node, Spec: { ...node.Spec, Role: 'worker' } }));
  t.is(await level(), LEVEL);
});

test('a manager that was lost and demoted is waited for no more, though nobody took its certificate', async (t) => {
  const lost = { ...manager('m2', LEVEL - 1), RaftID: 2 };
  const { store, members, level } = await world(t, [manager('m1', LEVEL), lost]);
  t.is(await level(), LEVEL - 1);
  members.pop();
  await patch(store, 'node', 'm2', ({ RaftID: _, ...node }) => ({
    ...node,
    Spec: { ...node.Spec, Role: 'worker' },
  }));
  t.is(store.get('node', 'm2')?.Role, 'manager');
  t.is(await level(), LEVEL);
});

test('what could not be written is tried again', async (t) => {
  const { store, level, told } = await world(t, [manager('m1', LEVEL - 1)]);
  store.failNext(Object.assign(new Error('no'), { code: 'RAFT_PROPOSAL_DROPPED' }));
  const failed = told('m1', LEVEL);
  await t.throwsAsync(failed);
  await told('m1', LEVEL);
  t.is(await level(), LEVEL);
});

test('a stopped loop raises nothing', async (t) => {
  const { loop, level, told } = await world(t, [manager('m1', LEVEL - 1)]);
  await loop.stop();
  await told('m1', LEVEL);
  t.is(await level(), LEVEL - 1);
});
