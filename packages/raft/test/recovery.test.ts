import test from 'ava';
import { ConfChangeOp, encodeConfChange } from '../src/core/conf-change.js';
import { EntryKind, type Entry } from '../src/core/types.js';
import { forceSingleMember, type ForceOptions } from '../src/recovery/force-single-member.js';
import { foundingMeta, foundLog } from '../src/recovery/found-from-state.js';
import { MemoryDisk, MemoryStorage } from '../src/storage/memory-storage.js';
import { Stores } from './contract/store-fixture.js';
import { bytes, TestCluster, memberInfo } from './support/cluster.js';
import { TestStorage as HostStorage } from './support/memory-storage.js';

/** Makes one member of a stopped cluster a cluster of its own, and starts it. */
async function survive(cluster: TestCluster, id: number, options: Partial<ForceOptions> = {}) {
  const host = cluster.host(id);
  const commitIndex = host.node?.status().commit ?? 0;
  await cluster.kill(id);
  const forced = await cluster.finish(
    forceSingleMember({
      self: memberInfo(id),
      storage: new HostStorage(host.disk, cluster.clock),
      appliedIndex: host.saved.index,
      commitIndex,
      uncommitted: 'drop',
      ...options,
    }),
  );
  await cluster.start(id);
  return forced;
}

test('a survivor of three continues alone, with everything committed, and others can join', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  for (const item of ['a', 'b', 'c']) await cluster.propose(item);
  await cluster.waitItems(['a', 'b', 'c']);
  await cluster.kill(1);
  await cluster.kill(2);
  const forced = await survive(cluster, 3);
  t.deepEqual(forced.removed, [1, 2]);
  const leader = await cluster.waitLeader();
  t.is(leader.id, 3);
  await cluster.propose('d');
  t.deepEqual(leader.state.items, ['a', 'b', 'c', 'd']);
  const { members, removed } = leader.node!.status();
  t.deepEqual(
    members.map(({ info, role }) => [info.id, role]),
    [[3, 'voter']],
  );
  t.deepEqual(removed, [1, 2]);

  const joining = await cluster.start(4, { seeds: [memberInfo(3)] });
  await cluster.finish(leader.node!.addMember(memberInfo(4)));
  await cluster.propose('e');
  await cluster.clock.until(
    () => joining.status().commit === leader.node!.status().commit,
    'caught up',
  );
  t.deepEqual(cluster.host(4).state.items, ['a', 'b', 'c', 'd', 'e']);
  await t.throwsAsync(cluster.finish(leader.node!.addMember(memberInfo(1))), {
    code: 'RAFT_MEMBER_REMOVED',
  });
  await cluster.stop();
});

test('a lost member that comes back with its log cannot disturb the new cluster', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  await cluster.propose('a');
  await cluster.waitItems(['a']);
  await cluster.kill(1);
  await cluster.kill(2);
  await survive(cluster, 3);
  const leader = await cluster.waitLeader();
  const { term } = leader.node!.status();
  await cluster.start(1);
  await cluster.clock.advance(10_000);
  t.is(leader.node!.status().role, 'leader');
  t.is(leader.node!.status().term, term);
  await cluster.propose('b');
  t.deepEqual(leader.state.items, ['a', 'b']);
  await cluster.stop();
});

test('entries not known to be committed are dropped or kept, as requested', async (t) => {
  for (const uncommitted of ['drop', 'keep'] as const) {
    const cluster = await TestCluster.bootstrap(3);
    await cluster.propose('a');
    await cluster.waitItems(['a']);
    const leader = await cluster.waitLeader();
    for (const id of [1, 2, 3]) if (id !== leader.id) await cluster.kill(id);
    const last = leader.node!.status().lastIndex;
    const lost = t.throwsAsync(leader.node!.propose(bytes('tail')));
    await cluster.clock.until(
      () => leader.disk.entries.at(-1)!.index > last,
      'the entry is on disk',
    );
    const forced = await survive(cluster, leader.id, { uncommitted });
    await cluster.finish(lost);
    await cluster.waitLeader();
    t.is(forced.dropped, uncommitted === 'drop' ? 1 : 0);
    await cluster.propose('b');
    const items = uncommitted === 'drop' ? ['a', 'b'] : ['a', 'tail', 'b'];
    t.deepEqual(cluster.host(leader.id).state.items, items);
    await cluster.stop();
  }
});

test('a survivor in the middle of a joint change ends up alone', async (t) => {
  const disk = new MemoryDisk();
  const storage = new MemoryStorage({ disk });
  const add = (id: number) => ({ op: ConfChangeOp.AddVoter, id, info: memberInfo(id) });
  const entry = (
    index: number,
    changes: Parameters<typeof encodeConfChange>[0]['changes'],
  ): Entry => ({
    index,
    term: 1,
    kind: EntryKind.ConfChange,
    data: encodeConfChange({ changes }),
  });
  await storage.open();
  await storage.persist({
    hardState: { term: 1, vote: 1, commit: 2 },
    entries: [
      entry(1, [add(1), add(2), add(3)]),
      // 4 takes the place of 3, through a joint configuration that nobody has left yet.
      entry(2, [add(4), { op: ConfChangeOp.Remove, id: 3 }]),
    ],
    mustSync: true,
  });
  await storage.close();
  const self = { ...memberInfo(2), address: '198.18.0.99:2377' };
  const options = { self, appliedIndex: 0, commitIndex: 0, uncommitted: 'drop' } as const;
  const forced = await forceSingleMember({ ...options, storage: new MemoryStorage({ disk }) });
  t.deepEqual(forced, { lastIndex: 2, dropped: 0, removed: [1, 3, 4], term: 2 });
  const found = await new MemoryStorage({ disk }).open();
  t.is(found.hardState.commit, found.entries.at(-1)!.index);
  t.is(found.hardState.vote, 2);
  // A repeated call gives the same result, not an error.
  const again = await forceSingleMember({ ...options, storage: new MemoryStorage({ disk }) });
  t.deepEqual(again.removed, []);
});

test('a removed member cannot become a cluster of its own', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  await cluster.propose('a');
  await cluster.waitItems(['a']);
  const leader = await cluster.waitLeader();
  const other = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.finish(leader.node!.removeMember(other));
  const host = cluster.host(other);
  await cluster.clock.until(() => host.node!.status().members.length === 2, 'it knows');
  await t.throwsAsync(survive(cluster, other), { code: 'RAFT_MEMBER_NOT_FOUND' });
  await cluster.stop();
});

test('a log bootstrapped from a state starts after it, on the real disk too', async (t) => {
  await Stores.use(async (stores) => {
    const meta = foundingMeta({ self: memberInfo(9), index: 120, term: 7, removed: [3, 1, 3] });
    t.deepEqual(meta.removed, [1, 3]);
    const path = stores.newPath();
    await foundLog(stores.storage(path, { memberId: 9 }), meta);
    const found = await stores.storage(path, { memberId: 9 }).open();
    t.deepEqual(found.snapshot, meta);
    t.deepEqual(found.hardState, { term: 7, vote: 0, commit: 120 });
    t.is(found.firstIndex, 121);
    t.deepEqual(found.entries, []);
  });
});
