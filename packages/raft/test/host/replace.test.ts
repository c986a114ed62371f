import test from 'ava';
import {
  MemberExistsError,
  MemberNotFoundError,
  MemberRemovedError,
  NotLeaderError,
  RemovalLosesQuorumError,
} from '../../src/host/errors.js';
import type { MembersListener } from '../../src/host/status.js';
import type { MemberId } from '../../src/core/types.js';
import { TestCluster, type Host, memberInfo } from '../support/cluster.js';

/** A group of `size` that has a leader, and a member `size + 1` that waits to be contacted. */
async function groupAndNewcomer(
  size: number,
): Promise<{ cluster: TestCluster; leader: Host; fresh: MemberId }> {
  const cluster = await TestCluster.bootstrap(size);
  const leader = await cluster.waitLeader();
  const fresh = size + 1;
  const seeds = Array.from({ length: size }, (_, i) => memberInfo(i + 1));
  await cluster.start(fresh, { seeds });
  return { cluster, leader, fresh };
}

function rolesIn(members: Parameters<MembersListener>[0]): string {
  return members.map(({ info, role }) => `${info.id} ${role}`).join(', ');
}

function roles(host: Host): string {
  return rolesIn(host.node!.status().members);
}

function others(cluster: TestCluster, leader: Host): MemberId[] {
  return [...cluster.hosts.keys()].filter((id) => id !== leader.id).sort((a, b) => a - b);
}

/** Asks the current leader, repeatedly, until the member is replaced, as an operator would. */
async function replaceOnCurrentLeader(
  cluster: TestCluster,
  oldId: MemberId,
  newId: MemberId,
): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const leader = await cluster.waitLeader();
    try {
      await cluster.finish(leader.node!.replaceMember(oldId, memberInfo(newId)));
      return;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'RAFT_NOT_LEADER' && code !== 'RAFT_PROPOSAL_UNKNOWN') throw error;
      await cluster.clock.advance(100);
    }
  }
  throw new Error('ten leaders did not do it');
}

test('a dead member is replaced in one change, and no voter is missing on the way', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const [dead, other] = others(cluster, leader) as [MemberId, MemberId];
  for (let i = 0; i < 20; i++) await cluster.propose(`p${i}`);
  await cluster.kill(dead);
  const seen: string[] = [];
  leader.node!.onMembers((members) => seen.push(rolesIn(members)));
  await cluster.finish(leader.node!.replaceMember(dead, memberInfo(fresh)));
  const voters = (...ids: MemberId[]) =>
    ids
      .sort((a, b) => a - b)
      .map((id) => `${id} voter`)
      .join(', ');
  t.deepEqual(seen, [
    `${voters(1, 2, 3)}, ${fresh} learner`,
    voters(1, 2, 3, fresh),
    voters(leader.id, other, fresh),
  ]);
  t.deepEqual(leader.node!.status().removed, [dead]);
  // One of the old three is dead; with the new one, another may die.
  await cluster.kill(other);
  await cluster.propose('last');
  await cluster.stop();
});

test('a repeated replacement changes nothing', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const [old] = others(cluster, leader) as [MemberId];
  await cluster.finish(leader.node!.replaceMember(old, memberInfo(fresh)));
  const { lastIndex } = leader.node!.status();
  await cluster.finish(leader.node!.replaceMember(old, memberInfo(fresh)));
  t.is(leader.node!.status().lastIndex, lastIndex);
  await cluster.stop();
});

test('a leader that is to be replaced hands over first and says whom to ask', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const error = await t.throwsAsync(
    cluster.finish(leader.node!.replaceMember(leader.id, memberInfo(fresh))),
    { instanceOf: NotLeaderError },
  );
  const next = await cluster.waitLeader(leader.id);
  t.is(error.leader?.id, next.id);
  t.is(roles(next), '1 voter, 2 voter, 3 voter', 'nothing is changed yet');
  await cluster.finish(next.node!.replaceMember(leader.id, memberInfo(fresh)));
  t.deepEqual(next.node!.status().removed, [leader.id]);
  t.is(next.node!.status().members.length, 3);
  await cluster.kill(leader.id);
  await cluster.propose('a');
  await cluster.stop();
});

test('the only member of a group is replaced, and the new one leads', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(1);
  await cluster.propose('a');
  await cluster.finish(leader.node!.replaceMember(1, memberInfo(fresh)));
  const next = await cluster.waitLeader(1);
  t.is(next.id, fresh);
  t.is(roles(next), '2 voter');
  await cluster.kill(1);
  await cluster.propose('b');
  await cluster.waitItems(['a', 'b']);
  await cluster.stop();
});

test('a learner is replaced by a voter', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  // A member that never comes, and whose leader dies before it gives up.
  const stuck = 9;
  const adding = t.throwsAsync(leader.node!.addMember(memberInfo(stuck)), {
    code: 'RAFT_STOPPED',
  });
  await cluster.clock.until(() => roles(leader).includes('9 learner'), 'the learner');
  await cluster.kill(leader.id);
  await adding;
  const next = await cluster.waitLeader(leader.id);
  await cluster.finish(next.node!.replaceMember(stuck, memberInfo(fresh)));
  t.is(roles(next), '1 voter, 2 voter, 3 voter, 4 voter');
  t.deepEqual(next.node!.status().removed, [stuck]);
  await cluster.stop();
});

test('a new member that does not catch up is removed again and the old one stays', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const [old] = others(cluster, leader) as [MemberId];
  const startMs = cluster.clock.now();
  await t.throwsAsync(cluster.finish(leader.node!.replaceMember(old, memberInfo(4))), {
    code: 'RAFT_TIMEOUT',
    message: /catching up member 4 .* join under a new id/,
  });
  t.true(cluster.clock.now() - startMs >= 60_000);
  t.is(roles(leader), '1 voter, 2 voter, 3 voter');
  t.deepEqual(leader.node!.status().removed, [4]);
  await t.throwsAsync(cluster.finish(leader.node!.replaceMember(old, memberInfo(4))), {
    instanceOf: MemberRemovedError,
  });
  await cluster.start(5, { seeds: [memberInfo(leader.id)] });
  await cluster.finish(leader.node!.replaceMember(old, memberInfo(5)));
  t.deepEqual(leader.node!.status().removed, [old, 4].sort());
  await cluster.stop();
});

test('a new member that never answers holds up no other change', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const node = leader.node!;
  const [old, other] = others(cluster, leader) as [MemberId, MemberId];
  const startMs = cluster.clock.now();
  const stuck = t.throwsAsync(node.replaceMember(old, memberInfo(9)), { code: 'RAFT_TIMEOUT' });
  await cluster.finish(node.replaceMember(other, memberInfo(fresh)));
  await cluster.finish(node.removeMember(old));
  t.true(cluster.clock.now() - startMs < 5_000);
  await cluster.finish(stuck);
  t.is(roles(leader), `${leader.id} voter, ${fresh} voter`);
  t.deepEqual(node.status().removed, [old, other, 9]);
  await cluster.stop();
});

test('two calls replace the same member by the same one: it is done once', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const [old] = others(cluster, leader) as [MemberId];
  const replace = () => leader.node!.replaceMember(old, memberInfo(fresh));
  await cluster.finish(Promise.all([replace(), replace()]));
  t.deepEqual(leader.node!.status().removed, [old]);
  t.is(leader.node!.status().members.length, 3);
  await cluster.stop();
});

test('with the old one already removed, the new one joins all the same', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const [old] = others(cluster, leader) as [MemberId];
  await cluster.finish(leader.node!.removeMember(old));
  await cluster.finish(leader.node!.replaceMember(old, memberInfo(fresh)));
  t.is(leader.node!.status().members.length, 3);
  t.is(leader.node!.status().members.at(-1)!.role, 'voter');
  await cluster.stop();
});

test('an impossible replacement is refused and nothing changes', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  const [old, other] = others(cluster, leader) as [MemberId, MemberId];
  const { lastIndex } = leader.node!.status();
  const refusal = (oldId: MemberId, newId: MemberId) =>
    cluster.finish(leader.node!.replaceMember(oldId, memberInfo(newId)));
  await t.throwsAsync(refusal(old, old), { instanceOf: MemberExistsError, message: /its own/ });
  await t.throwsAsync(refusal(old, other), { instanceOf: MemberExistsError, message: /voter/ });
  await t.throwsAsync(refusal(8, 9), { instanceOf: MemberNotFoundError });
  await t.throwsAsync(cluster.finish(cluster.node(old).replaceMember(other, memberInfo(4))), {
    instanceOf: NotLeaderError,
  });
  t.is(leader.node!.status().lastIndex, lastIndex);
  await cluster.stop();
});

test('without a majority of the old voters a replacement is refused', async (t) => {
  const { cluster, leader, fresh } = await groupAndNewcomer(3);
  const [old, other] = others(cluster, leader) as [MemberId, MemberId];
  await cluster.kill(old);
  await cluster.kill(other);
  // The leader has not stepped down yet, but knows that it hears nobody.
  const { node } = leader;
  await cluster.clock.until(() => !node!.hasQuorum(), 'the silence to be noticed');
  t.is(node!.status().role, 'leader');
  await t.throwsAsync(cluster.finish(node!.replaceMember(old, memberInfo(fresh))), {
    instanceOf: RemovalLosesQuorumError,
    message: /until member \d is removed only 1 reachable/,
  });
  await cluster.stop();
});

test('a leader may die at any moment of a replacement: the next one continues it', async (t) => {
  t.timeout(120_000);
  const stages = new Set<string>();
  // Disk and network take 1 ms each, so every step of the change has a moment of its own.
  for (let diesAtMs = 0; diesAtMs <= 24; diesAtMs++) {
    const { cluster, leader, fresh } = await groupAndNewcomer(3);
    const [old] = others(cluster, leader) as [MemberId];
    await cluster.propose('a');
    const asked = leader.node!.replaceMember(old, memberInfo(fresh)).catch(() => undefined);
    await cluster.clock.advance(diesAtMs);
    stages.add(roles(leader));
    await cluster.kill(leader.id);
    await asked;
    await replaceOnCurrentLeader(cluster, old, fresh);
    const next = await cluster.waitLeader(leader.id);
    const left = [1, 2, 3, fresh].filter((id) => id !== old);
    t.is(roles(next), left.map((id) => `${id} voter`).join(', '), `dies at ${diesAtMs} ms`);
    t.deepEqual(next.node!.status().removed, [old]);
    await cluster.start(leader.id);
    await cluster.propose('b');
    await cluster.kill(old);
    await cluster.waitItems(['a', 'b']);
    await cluster.stop();
  }
  t.true(stages.size >= 4, `died in: ${[...stages].join('; ')}`);
});
