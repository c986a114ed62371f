import { randomBytes } from 'node:crypto';
import { type Cluster, type Node, type NodeRole, type NodeState, silentLogger } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import {
  canDemote,
  createRoleManager,
  type Member,
  type Membership,
  removeNode,
  roleChange,
  RoleNotes,
} from '../../src/role-manager/index.js';
import { refuseRemoved } from '../../src/ca/removed.js';
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
  transfers = 0;
  failures = 0;
  /** Raft ids of members whose removal never ends. */
  readonly hanging = new Set<number>();
  readonly #self: number;
  readonly #listeners = new Set<() => void>();
  #list: Member[];

  constructor(list: Member[], self = 1) {
    this.#list = list;
    this.#self = self;
  }

  get list(): Member[] {
    return this.#list;
  }

  set list(list: Member[]) {
    this.#list = list;
    for (const listener of this.#listeners) listener();
  }

  watch(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }

  members(): readonly Member[] {
    return this.list;
  }

  async remove(raftId: number): Promise<void> {
    if (this.hanging.has(raftId)) await new Promise(() => {});
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
  const notes = new RoleNotes();
  const loop = createRoleManager(context, group, notes);
  t.teardown(() => loop.stop());
  const demote = (nodeId: string) =>
    patch(store, 'node', nodeId, (node) => ({ ...node, Spec: { ...node.Spec, Role: 'worker' } }));
  return { clock, store, loop, demote, notes };
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

test('a removal that hangs delays neither other removals nor what is written of the members', async (t) => {
  const group = new Group([member(1), member(2), member(3), member(4)]);
  const { clock, store, loop, demote } = await world(t, group);
  loop.start();
  group.hanging.add(2);
  await demote('m2');
  await clock.advance(0);
  await demote('m3');
  await clock.advance(0);
  t.deepEqual(ids(group), ['m1', 'm2', 'm4']);
  t.is(store.get('node', 'm3')?.RaftID, undefined);
});

test('a removal that fails keeps nobody else waiting, and says why until it succeeds', async (t) => {
  const group = new Group([member(1), member(2), member(3), member(4), member(5)]);
  const { clock, store, loop, demote, notes } = await world(t, group);
  loop.start();
  group.failures = 1;
  await demote('m2');
  await clock.advance(0);
  t.is(notes.of('m2'), 'not agreed');
  await demote('m3');
  await clock.advance(0);
  t.deepEqual(ids(group), ['m1', 'm2', 'm4', 'm5']);
  t.is(store.get('node', 'm3')?.RaftID, undefined);
  await clock.advance(5_000);
  t.deepEqual(ids(group), ['m1', 'm4', 'm5']);
  t.is(notes.of('m2'), undefined);
});

test('why a member cannot leave is noted until its role changes again', async (t) => {
  const group = new Group([member(1), member(2), member(3, false)]);
  const { clock, store, loop, demote, notes } = await world(t, group);
  loop.start();
  await demote('m2');
  await clock.advance(0);
  t.regex(notes.of('m2') ?? '', /loss of quorum/);
  await patch(store, 'node', 'm2', (node) => ({
    ...node,
    Spec: { ...node.Spec, Role: 'manager' },
  }));
  await clock.advance(10_000);
  t.is(notes.of('m2'), undefined);
  t.is(group.list.length, 3);
});

test('a member is written to its node as soon as it has joined', async (t) => {
  const group = new Group([member(1)]);
  const { clock, store, loop } = await world(t, group);
  const Spec = { Labels: {}, Role: 'manager', Availability: 'active' } as const;
  await put(store, 'node', nodeDraft('m2', { Spec }));
  loop.start();
  await clock.advance(1);
  group.list = [member(1), member(2)];
  await clock.advance(0);
  t.is(store.get('node', 'm2')?.RaftID, 2);
});

test('of the two members of a node that comes back under a new id, the voter is written', async (t) => {
  const group = new Group([member(1), member(2)]);
  const { clock, store, loop } = await world(t, group);
  loop.start();
  group.list = [...group.list, { ...member(9), nodeId: 'm2', voter: false }];
  await clock.advance(0);
  t.is(store.get('node', 'm2')?.RaftID, 2);
});

test('a change of role says how far it is and what it waits for', (t) => {
  const node = (wish: NodeRole, certificate: NodeRole, State: NodeState = 'ready') =>
    nodeDraft('n', {
      Role: certificate,
      Spec: { Labels: {}, Role: wish, Availability: 'active' },
      Status: { State, Addr: '198.18.0.9' },
    }) as Node;
  const learner = { learner: true };
  const rows: [Node, { learner?: boolean } | undefined, string | undefined, RegExp | undefined][] =
    [
      [node('worker', 'worker'), undefined, undefined, undefined],
      [node('manager', 'manager'), {}, 'old news', undefined],
      [node('manager', 'worker'), undefined, undefined, /promoted: it fetches .* certificate$/],
      [node('manager', 'worker', 'down'), undefined, undefined, /once it is back$/],
      [node('manager', 'manager'), undefined, 'shut', /joins .* \(last try: shut\); 'docker info'/],
      [node('manager', 'manager'), learner, undefined, /promoted: it copies the managers' state$/],
      [node('worker', 'manager'), {}, undefined, /^being demoted: it leaves the managers$/],
      [node('worker', 'manager'), {}, 'why', /cannot leave the managers yet \(why\)$/],
      [node('worker', 'manager', 'down'), {}, undefined, /^being demoted: it leaves/],
      [node('worker', 'manager'), undefined, undefined, /has left the managers and fetches/],
      [node('worker', 'manager', 'down'), undefined, undefined, undefined],
    ];
  for (const [each, place, why, expected] of rows) {
    const said = roleChange(each, place, why);
    if (expected === undefined) t.is(said, undefined);
    else t.regex(said ?? '', expected);
  }
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
  const removed = () => [...store.list('removed-node')].map(({ ID }) => ID);
  t.deepEqual(removed(), ['w1', 'w2']);
  t.is(store.get('task', 'runs')?.Status.State, 'orphaned');
  t.is(store.get('task', 'ended')?.Status.State, 'failed');
  await clock.advance(16.9 * day);
  t.deepEqual(removed(), ['w1', 'w2']);
  await clock.advance(0.2 * day);
  t.deepEqual(removed(), []);
});

test('a removed node is an object of its own, until its certificates have expired', async (t) => {
  const { clock, store, loop } = await world(t, new Group([member(1)]));
  const day = 24 * 60 * 60 * 1000;
  const CertificateExpiresAt = new Date(clock.now() + 10 * day).toISOString();
  await put(store, 'node', nodeDraft('w1', { CertificateExpiresAt }));
  loop.start();
  await clock.advance(0);
  const { Version } = store.cluster()!;
  await store.transact((transaction) => removeNode(transaction, 'w1', clock.now()));
  await clock.advance(60_000);
  t.deepEqual(store.cluster()!.Version, Version, 'what is written whole stays as it was');
  t.throws(() => refuseRemoved(store, 'w1'), { code: 'PERMISSION_DENIED' });
  await clock.advance(16.9 * day);
  t.throws(() => refuseRemoved(store, 'w1'), { code: 'PERMISSION_DENIED' });
  await clock.advance(0.2 * day);
  t.notThrows(() => refuseRemoved(store, 'w1'));
  t.is(store.count('removed-node'), 0);
});

test('nodes that were removed before they were objects become objects, and stay refused', async (t) => {
  const { clock, store, loop } = await world(t, new Group([member(1)]));
  const [{ ID }] = [...store.list('cluster')] as [Cluster];
  const Until = new Date(clock.now() + 1e9).toISOString();
  const RemovedNodes = Object.fromEntries(
    Array.from({ length: 250 }, (_, i) => [`old${i}`, { Until }]),
  );
  await patch(store, 'cluster', ID, (cluster) => ({
    ...cluster,
    Private: { ...cluster.Private, RemovedNodes },
  }));
  t.is(store.count('removed-node'), 0);
  t.throws(() => refuseRemoved(store, 'old7'));
  loop.start();
  await clock.advance(10_000);
  t.is(store.count('removed-node'), 250);
  t.deepEqual(store.cluster()!.Private.RemovedNodes, {});
  t.throws(() => refuseRemoved(store, 'old7'));
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
