import test from 'ava';
import {
  NotLeaderError,
  OverloadedError,
  ProposalTooLargeError,
  ProposalUnknownError,
  QuorumLostError,
  RaftStoppedError,
} from '../../src/host/errors.js';
import { bytes, TestCluster, memberInfo } from '../support/cluster.js';

test('a follower refuses a proposal and names the leader', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const follower = [...cluster.hosts.values()].find(({ id }) => id !== leader.id)!;
  await cluster.clock.until(() => follower.node!.status().leader !== undefined, 'a known leader');
  const error = await t.throwsAsync(cluster.finish(follower.node!.propose(bytes('x'))), {
    instanceOf: NotLeaderError,
    code: 'RAFT_NOT_LEADER',
  });
  t.deepEqual(error.leader, memberInfo(leader.id));
  await cluster.stop();
});

test('after the leader dies another leads within three seconds, and nothing acknowledged is lost', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  await cluster.propose('a');
  const old = await cluster.waitLeader();
  await cluster.kill(old.id);
  const before = cluster.clock.now();
  await cluster.waitLeader(old.id);
  t.true(cluster.clock.now() - before <= 3000);
  await cluster.propose('b');
  await cluster.start(old.id);
  await cluster.waitItems(['a', 'b']);
  await cluster.stop();
});

test('all members may be killed at once and continue where they were', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  for (const text of ['a', 'b', 'c']) await cluster.propose(text);
  for (const id of [1, 2, 3]) await cluster.kill(id);
  for (const id of [1, 2, 3]) await cluster.start(id);
  await cluster.propose('d');
  await cluster.waitItems(['a', 'b', 'c', 'd']);
  t.pass();
  await cluster.stop();
});

test('a leader cut off from the others tells its callers, loses leadership first, and catches up later', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  cluster.isolate(leader.id);
  let announcedBefore: boolean | undefined;
  const lost = leader.node!.propose(bytes('lost')).catch((error: unknown) => {
    announcedBefore = leader.announced.at(-1)?.isLeader === false;
    throw error;
  });
  await t.throwsAsync(cluster.finish(lost), { instanceOf: ProposalUnknownError });
  t.true(announcedBefore);
  const next = await cluster.waitLeader(leader.id);
  await cluster.finish(next.node!.propose(bytes('kept')));
  cluster.network.heal();
  await cluster.waitItems(['kept']);
  await cluster.stop();
});

test('without a quorum, writes and reads fail with a quorum-lost error within some seconds', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  for (const id of [1, 2, 3]) if (id !== leader.id) await cluster.kill(id);
  t.true(leader.node!.hasQuorum());
  await cluster.clock.until(() => leader.node!.leaderlessMs() >= 5000, 'no leader for 5 s', 8000);
  t.false(leader.node!.hasQuorum());
  await t.throwsAsync(cluster.finish(leader.node!.propose(bytes('x'))), {
    instanceOf: QuorumLostError,
  });
  await t.throwsAsync(cluster.finish(leader.node!.readIndex()), { instanceOf: QuorumLostError });
  await cluster.stop();
});

test('a leader whose disk hangs makes room for another', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  leader.disk.stalled = true;
  const stuck = leader.node!.propose(bytes('stuck'));
  const outcome = stuck.catch((error: unknown) => error);
  const next = await cluster.waitLeader(leader.id);
  t.not(next.id, leader.id);
  t.true((await outcome) instanceof ProposalUnknownError);
  await cluster.finish(next.node!.propose(bytes('next')));
  leader.disk.stalled = false;
  await cluster.clock.until(() => leader.state.items.includes('next'), 'the slow member follows');
  await cluster.stop();
});

test('an event loop that hung does not campaign against a leader it could have heard', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  await cluster.clock.advance(1000);
  const { term } = leader.node!.status();
  for (let i = 0; i < 5; i++) {
    cluster.clock.stall(5000);
    await cluster.clock.advance(500);
  }
  t.is(leader.node!.status().term, term);
  t.is(leader.node!.status().role, 'leader');
  await cluster.stop();
});

test('a disk that fails stops the member for good', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  leader.disk.broken = true;
  const lost = cluster.finish(leader.node!.propose(bytes('x')));
  await t.throwsAsync(lost, { instanceOf: RaftStoppedError });
  t.regex(String(leader.fatal), /EIO/);
  await t.throwsAsync(leader.node!.propose(bytes('y')), { instanceOf: RaftStoppedError });
  await cluster.stop();
});

test('a state machine that throws stops the member for good', async (t) => {
  const cluster = await TestCluster.bootstrap(1);
  const leader = await cluster.waitLeader();
  leader.state.apply = () => {
    throw new Error('cannot apply');
  };
  await t.throwsAsync(cluster.finish(leader.node!.propose(bytes('x'))), {
    instanceOf: RaftStoppedError,
  });
  t.regex(String(leader.fatal), /cannot apply/);
});

test('a state older than the log is refused at start', async (t) => {
  const limits = { snapshotInterval: 10, trailingEntries: 2 };
  const cluster = await TestCluster.bootstrap(1, 1, limits);
  for (let i = 0; i < 25; i++) await cluster.propose(`p${i}`);
  await cluster.clock.until(() => cluster.host(1).disk.snapshot.index > 0, 'a compaction');
  await cluster.kill(1);
  cluster.host(1).saved.index = 0;
  await t.throwsAsync(cluster.start(1), { code: 'RAFT_STATE_BEHIND_LOG' });
});

test('a log that ends before its commit is refused at start', async (t) => {
  const cluster = await TestCluster.bootstrap(1);
  await cluster.propose('a');
  await cluster.propose('b');
  await cluster.kill(1);
  const { disk } = cluster.host(1);
  disk.entries = disk.entries.slice(0, 1);
  await t.throwsAsync(cluster.start(1), { code: 'RAFT_STORAGE_CORRUPT' });
});

test('a member that has run before refuses an empty log, and closes it', async (t) => {
  const cluster = await TestCluster.bootstrap(1);
  await cluster.propose('a');
  await cluster.kill(1);
  await cluster.start(1, { returns: true });
  await cluster.propose('b');
  await cluster.kill(1);
  cluster.hosts.delete(1);
  await t.throwsAsync(cluster.start(1, { returns: true }), {
    code: 'RAFT_STORAGE_CORRUPT',
    message: /log of member 1 is gone.*must not vote again/,
  });
  t.true(cluster.host(1).storage.closed);
});

test('proposals that are too large, empty or too many are refused at once', async (t) => {
  const limits = { maxProposalBytes: 10, maxQueuedProposals: 3 };
  const cluster = await TestCluster.bootstrap(1, 1, limits);
  const node = (await cluster.waitLeader()).node!;
  await t.throwsAsync(node.propose(new Uint8Array(11)), { instanceOf: ProposalTooLargeError });
  await t.throwsAsync(node.propose(new Uint8Array(0)), { instanceOf: TypeError });
  const taken = [1, 2, 3].map(() => node.propose(bytes('x')));
  await t.throwsAsync(node.propose(bytes('x')), { instanceOf: OverloadedError });
  t.is((await cluster.finish(Promise.all(taken))).length, 3);
  await cluster.stop();
});

test('a stopped node fails everything with the same error', async (t) => {
  const cluster = await TestCluster.bootstrap(1);
  const node = (await cluster.waitLeader()).node!;
  const under = node.propose(bytes('x'));
  const stopped = node.stop();
  for (const call of [under, node.readIndex(), node.barrier(), node.addMember(memberInfo(2))]) {
    await t.throwsAsync(cluster.finish<unknown>(call), { instanceOf: RaftStoppedError });
  }
  await cluster.finish(stopped);
});

test('a list of founders that lacks the member itself is refused', async (t) => {
  for (const members of [[], [memberInfo(2)], [memberInfo(1), memberInfo(1)]]) {
    await t.throwsAsync(new TestCluster(1).start(1, { members }), { code: 'RAFT_CONFIG' });
  }
});

test('a member whose disk lost acknowledged entries stops, and the others continue', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const other = [1, 2, 3].find((id) => id !== leader.id)!;
  await cluster.propose('a');
  await cluster.propose('b');
  await cluster.waitItems(['a', 'b']);
  await cluster.kill(other);
  const { disk } = cluster.host(other);
  disk.entries = disk.entries.slice(0, -1);
  disk.hardState = {
    ...disk.hardState,
    commit: Math.min(disk.hardState.commit, disk.entries.length),
  };
  await cluster.start(other);
  await cluster.clock.until(() => cluster.host(other).fatal !== undefined, 'it stops');
  t.like(cluster.host(other).fatal, { code: 'RAFT_FAULT' });
  t.regex(String(cluster.host(other).fatal), /lost entries .* rejoin under a new id/);
  await cluster.propose('c');
  await cluster.stop();
});

test('a disk that has finished a write starts the next, whoever else is silent', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  await cluster.propose('first');
  cluster.isolate(leader.id);
  const { disk } = leader;
  disk.latencyMs = 3;
  const before = disk.writes;
  const lost = [leader.node!.propose(bytes('a'))];
  await cluster.clock.settle();
  lost.push(leader.node!.propose(bytes('b')));
  // Two writes in a row: no tick and no answer comes in between.
  await cluster.clock.advance(2 * disk.latencyMs);
  t.is(disk.writes - before, 2);
  await cluster.stop();
  for (const proposal of lost) await t.throwsAsync(proposal);
});
