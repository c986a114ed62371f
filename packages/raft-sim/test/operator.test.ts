import { ConfChangeOp, EMPTY_CONF, isVoter } from '@swarm/raft/internals';
import { runSteps } from '@swarm/sim';
import test from 'ava';
import { changesAhead } from '../src/internals.js';
import { infoOf, MemberState } from '../src/member.js';
import { makePlan } from '../src/plan.js';
import { Stage } from '../src/stage.js';
import { RaftWorld } from '../src/world.js';

/** More events than any of these worlds needs. */
const MAX_EVENTS = 200_000;

/** A cluster of three without faults and clients, whose operator works. */
function quietWorld(): RaftWorld {
  const plan = { ...makePlan(1, 'lite'), limits: {}, clientTimeoutMs: 500, actions: [] };
  const world = new RaftWorld(plan);
  for (let i = 0; i < plan.members; i++) world.addMember(true);
  world.operator.run();
  return world;
}

async function until(world: RaftWorld, what: string, holds: () => boolean): Promise<void> {
  const endMs = world.clock.nowMs + 20_000;
  await runSteps(() => {
    world.check();
    if (world.failure !== undefined) throw world.failure;
    const isLate = world.clock.nowMs > endMs || world.clock.count > MAX_EVENTS;
    if (isLate) throw new Error(`waiting for ${what}: ${world.operator.describe()}`);
    world.clock.next()?.run();
    return !holds();
  });
}

function confOf(world: RaftWorld) {
  const conf = world.leader()?.subject?.raft.tracker.conf;
  return conf ?? EMPTY_CONF;
}

test('the operator invites nobody whose disk is lost', async (t) => {
  const world = quietWorld();
  await until(world, 'a leader', () => world.leader() !== undefined);
  const dead = world.addMember();
  dead.lose();
  world.operator.wanted = 4;
  await until(world, 'four voters', () => confOf(world).voters.length === 4);
  const { removed } = world.leader()!.subject!.membership.current;
  t.deepEqual(removed, [], 'not even for a while');
  t.is(world.members.length, 5);
});

test('the operator removes a learner whose disk is lost, and is not content before', async (t) => {
  const world = quietWorld();
  await until(world, 'a leader', () => world.leader() !== undefined);
  world.operator.wanted = 4;
  await until(world, 'a learner', () => confOf(world).learners.length > 0);
  const [id] = confOf(world).learners;
  world.member(id!).lose();
  world.operator.wanted = 3;
  let content = false;
  await until(world, 'its removal', () => {
    content ||= world.operator.content;
    return world.leader()!.subject!.membership.current.removed.includes(id!);
  });
  t.false(content);
  await until(world, 'content', () => world.operator.content);
  t.deepEqual(confOf(world).learners, []);
});

test('the operator removes a lost member before one that it is to remove', async (t) => {
  const world = quietWorld();
  await until(world, 'a leader', () => world.leader() !== undefined);
  const [first, second] = world.members.filter((member) => member !== world.leader());
  world.operator.remove(first!.id);
  world.operator.replace(first!.id);
  second!.lose();
  const { membership } = world.leader()!.subject!;
  await until(world, 'a removal', () => membership.current.removed.length > 0);
  t.deepEqual(membership.current.removed, [second!.id]);
});

test('the operator is not content while a change is not applied', async (t) => {
  const world = quietWorld();
  await until(world, 'content', () => world.operator.content);
  const leader = world.leader()!;
  const { conf } = leader.subject!.raft.tracker;
  // Nobody confirms the change, so that it stays in the log.
  for (const { id, disk } of world.members) {
    if (id !== leader.id) disk.stall(world.clock.nowUs + 5_000_000);
  }
  // Nobody waits for it either, as for a change of an earlier leader.
  const { id } = world.addMember();
  new Stage(world).change(leader, [{ op: ConfChangeOp.AddLearner, id, info: infoOf(id) }]);
  await until(world, 'the change', () => changesAhead(leader.subject?.raft) === 1);
  t.is(leader.subject!.raft.tracker.conf, conf);
  t.false(world.operator.content);
  await until(world, 'its end', () => world.operator.content);
  t.deepEqual(confOf(world).learners, []);
});

test('a replacement gives up a new member whose disk is lost, and takes another', async (t) => {
  const world = quietWorld();
  await until(world, 'a leader', () => world.leader() !== undefined);
  const [old] = world.members.filter((member) => member !== world.leader());
  world.operator.replace(old!.id);
  await until(world, 'a newcomer', () => world.members.length === 4);
  world.member(4).lose();
  await until(world, 'the replacement', () => confOf(world).voters.includes(5));
  await until(world, 'the end of it', () => !isVoter(confOf(world), old!.id));
  t.is(world.member(4).state, MemberState.Lost);
});
