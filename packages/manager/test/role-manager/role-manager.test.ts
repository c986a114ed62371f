import { randomBytes } from 'node:crypto';
import { silentLogger } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import {
  canDemote,
  createRoleManager,
  type Member,
  type Membership,
  removeNode,
} from '../../src/role-manager/index.js';
import { clusterDraft, root } from '../ca/cluster.js';
import { servingTask } from '../dispatcher/harness.js';
import { nodeDraft, patch, put } from '../support/objects.js';
import { createTestStore } from '../support/test-store.js';
import { VirtualClock } from '@swarm/sim';
import { START_MS } from '../support/start-time.js';

function member(index: number, reachable = true): Member {
  const address = `198.18.0.${index}:2377`;
  return { raftId: index, nodeId: `m${index}`, address, voter: true, reachable };
}

/** A group that `self` leads; removal and transfer work as in Raft. */
class Group implements Membership {
  list: Member[];
  transfers = 0;
  failures = 0;
  readonly #self: number;

  constructor(list: Member[], self = 1) {
    this.list = list;
    this.#self = self;
  }

  members(): readonly Member[] {
    return this.list;
  }

  async remove(raftId: number): Promise<void> {
    if (this.failures > 0) {
      this.failures -= 1;
      throw new Error('not agreed');
    }
    this.list = this.list.filter((each) => each.raftId !== raftId);
  }

  isSelf(raftId: number): boolean {
    return raftId === this.#self;
  }

  async transferAway(): Promise<void> {
    this.transfers += 1;
  }
}

async function world(t: ExecutionContext, group: Group) {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  await put(store, 'cluster', await clusterDraft(await root(clock.now())));
  for (const { nodeId, raftId, address } of group.list) {
    await put(
      store,
      'node',
      nodeDraft(nodeId, {
        Role: 'manager',
        Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
        RaftID: raftId,
        ManagerAddr: address,
      }),
    );
  }
  const context = { store, clock, logger: silentLogger, randomBytes };
  const loop = createRoleManager(context, group);
  t.teardown(() => loop.stop());
  const demote = (nodeId: string) =>
    patch(store, 'node', nodeId, (node) => ({ ...node, Spec: { ...node.Spec, Role: 'worker' } }));
  return { clock, store, loop, demote };
}

const ids = (group: Group) => group.list.map((each) => each.nodeId);

test('a manager can go unless it is the last or the quorum would be lost', (t) => {
  const three = [member(1), member(2), member(3)];
  t.is(canDemote([member(1)], 'm1'), 'attempting to demote the last manager of the swarm');
  t.is(canDemote(three, 'm1'), undefined);
  t.is(canDemote(three, 'stranger'), undefined);
  t.is(canDemote([member(1), member(2)], 'm1'), undefined);
  const loss = /loss of quorum/;
  t.regex(canDemote([member(1), member(2, false)], 'm1') ?? '', loss);
  t.is(canDemote([member(1), member(2, false)], 'm2'), undefined);
  t.regex(canDemote([member(1), member(2), member(3, false)], 'm1') ?? '', loss);
  t.is(canDemote([member(1), member(2), member(3, false)], 'm3'), undefined);
  const learner = { ...member(2), voter: false };
  t.is(canDemote([member(1), learner], 'm2'), undefined);
  t.regex(canDemote([member(1), learner], 'm1') ?? '', /last manager/);
});

test('a demoted node leaves the Raft group and loses its membership fields', async (t) => {
  const group = new Group([member(1), member(2), member(3)]);
  const { clock, store, loop, demote } = await world(t, group);
  loop.start();
  await demote('m2');
  await clock.advance(0);
  t.deepEqual(ids(group), ['m1', 'm3']);
  const node = store.get('node', 'm2');
  t.is(node?.RaftID, undefined);
  t.is(node?.ManagerAddr, undefined);
  // The role follows its certificate, which it now gets from the CA.
  t.is(node?.Role, 'manager');
});

test('a node demoted or removed under an earlier leader leaves the group on start', async (t) => {
  const group = new Group([member(1), member(2), member(3), member(4)]);
  const { clock, store, loop, demote } = await world(t, group);
  await demote('m2');
  await store.transact((transaction) => removeNode(transaction, 'm3', clock.now()));
  loop.start();
  await clock.advance(0);
  t.deepEqual(ids(group), ['m1', 'm4']);
});

test('the tasks of a removed node are orphaned, even more than fit in one transaction', async (t) => {
  const { clock, store, loop } = await world(t, new Group([member(1)]));
  await put(store, 'node', nodeDraft('w1'));
  for (let number = 0; number < 250; number += 1) {
    await put(store, 'task', servingTask(`t${number}`, 'w1'));
  }
  loop.start();
  await store.transact((transaction) => removeNode(transaction, 'w1', clock.now()));
  await clock.advance(0);
  const states = [...store.tasksByNode('w1')].map((task) => task.Status.State);
  t.is(states.filter((state) => state === 'orphaned').length, 250);
});

test('a task that comes to a removed node while its others are orphaned is orphaned too', async (t) => {
  const { clock, store, loop } = await world(t, new Group([member(1)]));
  await put(store, 'node', nodeDraft('w1'));
  await put(store, 'task', servingTask('first', 'w1'));
  loop.start();
  let late: Promise<unknown> | undefined;
  store.watch(({ events }) => {
    const isOrphan = (event: (typeof events)[number]) =>
      event.kind === 'task' && event.object.Status.State === 'orphaned';
    if (late === undefined && events.some(isOrphan))
      late = put(store, 'task', servingTask('late', 'w1'));
  });
  await store.transact((transaction) => removeNode(transaction, 'w1', clock.now()));
  await clock.advance(10_000);
  await late;
  await clock.advance(10_000);
  t.is(store.get('task', 'late')?.Status.State, 'orphaned');
});

test('a member that joined is written to its node', async (t) => {
  const group = new Group([member(1)]);
  const { clock, store, loop } = await world(t, group);
  await put(
    store,
    'node',
    nodeDraft('m2', { Spec: { Labels: {}, Role: 'manager', Availability: 'active' } }),
  );
  group.list.push(member(2));
  loop.start();
  await clock.advance(0);
  t.like(store.get('node', 'm2'), { RaftID: 2, ManagerAddr: '198.18.0.2:2377' });
});

test('a removal that would break the quorum, or fails, is retried until it succeeds', async (t) => {
  const group = new Group([member(1), member(2), member(3, false)]);
  const { clock, loop, demote } = await world(t, group);
  loop.start();
  await demote('m2');
  await clock.advance(60_000);
  t.is(group.list.length, 3);
  group.list[2] = member(3);
  group.failures = 1;
  await clock.advance(5_000);
  t.is(group.list.length, 3);
  await clock.advance(5_000);
  t.deepEqual(ids(group), ['m1', 'm3']);
});

test('a leader that is demoted hands leadership on and does not remove itself', async (t) => {
  const group = new Group([member(1), member(2), member(3)]);
  const { clock, loop, demote } = await world(t, group);
  await demote('m1');
  loop.start();
  await clock.advance(0);
  t.is(group.transfers, 1);
  t.is(group.list.length, 3);
});

test('a removed node’s certificate is refused until a week after it expires, its tasks are orphaned', async (t) => {
  const group = new Group([member(1)]);
  const { clock, store, loop } = await world(t, group);
  const day = 24 * 60 * 60 * 1000;
  const CertificateExpiresAt = new Date(clock.now() + 10 * day).toISOString();
  await put(store, 'node', nodeDraft('w1', { CertificateExpiresAt }));
  await put(store, 'node', nodeDraft('w2', { CertificateExpiresAt }));
  await put(store, 'task', servingTask('runs', 'w1'));
  await put(store, 'task', servingTask('ended', 'w1', 'failed'));
  loop.start();
  await store.transact((transaction) => removeNode(transaction, 'w1', clock.now()));
  // Removed without refusing its certificate.
  await store.transact((transaction) => transaction.remove('node', 'w2'));
  await clock.advance(0);
  const removed = () => Object.keys(store.cluster()!.Private.RemovedNodes);
  t.deepEqual(removed(), ['w1', 'w2']);
  t.is(store.get('task', 'runs')?.Status.State, 'orphaned');
  t.is(store.get('task', 'ended')?.Status.State, 'failed');
  await clock.advance(16.9 * day);
  t.deepEqual(removed(), ['w1', 'w2']);
  await clock.advance(0.2 * day);
  t.deepEqual(removed(), []);
});

test('a stopped role manager does nothing', async (t) => {
  const group = new Group([member(1), member(2), member(3)]);
  const { clock, loop, demote } = await world(t, group);
  loop.start();
  await clock.advance(0);
  await loop.stop();
  await demote('m2');
  await clock.advance(60_000);
  t.is(group.list.length, 3);
  t.is(clock.pending, 0);
});

test('nobody is removed from the group before the cluster is written, then roles count', async (t) => {
  const clock = new VirtualClock(START_MS);
  const store = createTestStore({ clock });
  const group = new Group([member(1), member(2)]);
  const warnings: string[] = [];
  const logger = {
    ...silentLogger,
    warn: (_fields: unknown, message?: string) => void warnings.push(String(message)),
  } as typeof silentLogger;
  const loop = createRoleManager({ store, clock, logger, randomBytes }, group);
  t.teardown(() => loop.stop());
  loop.start();
  await clock.advance(60_000);
  t.is(group.list.length, 2);
  t.deepEqual(warnings, []);
  const first = nodeDraft('m1', {
    Role: 'manager',
    Spec: { Labels: {}, Role: 'manager', Availability: 'active' },
  });
  await put(store, 'node', first);
  await put(store, 'cluster', await clusterDraft(await root(clock.now())));
  await clock.advance(0);
  t.deepEqual(ids(group), ['m1'], 'a member without a node was removed');
});
