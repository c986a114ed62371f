import test from 'ava';
import { Reads } from '../src/host/reads.js';
import { ConfChangeOp } from '../src/core/conf-change.js';
import { TestCluster, memberInfo } from './support/cluster.js';
import { CoreGroup } from './support/core-group.js';

// What the simulator found, each case as small as possible.

test('the answer to a read question counts although the question was repeated meanwhile', (t) => {
  const reads = new Reads(() => 0);
  const asked: number[] = [];
  const served: number[] = [];
  reads.add(10_000, (error, index) => {
    t.is(error, undefined);
    served.push(index);
  });
  reads.ask(0, (context) => asked.push(context) > 0);
  // Each answer takes longer than the three ticks before a retry.
  for (let tick = 3; tick <= 9; tick += 3) {
    reads.retry(tick, 3, (context) => asked.push(context) > 0);
  }
  t.is(asked.length, 4);
  reads.answered(asked[0]!, 5);
  reads.appliedTo(5);
  t.deepEqual(served, [5]);
  reads.answered(asked[3]!, 6);
  reads.appliedTo(6);
  t.deepEqual(served, [5]);
});

test('a joining member does not forget a seed that past memberships lack', async (t) => {
  const cluster = await TestCluster.bootstrap(3);
  const leader = await cluster.waitLeader();
  // Member 4 leads by the time 5 goes through the entries from before 4 joined.
  const seeds = [1, 2, 3, 4].map(memberInfo);
  await cluster.start(5, { seeds });
  await cluster.finish(leader.node!.addMember(memberInfo(5)));
  await cluster.clock.advance(5_000);
  const peers = cluster.host(5).transport.members.map(({ id }) => id);
  t.deepEqual(peers.sort(), [1, 2, 3, 4]);
  await cluster.stop();
});

test('a candidate does not lead before its own vote is durable, even if others elect it', (t) => {
  const group = CoreGroup.of([1, 2, 3, 4, 5]);
  group.heldWrites.set(1, []);
  group.get(1).campaign();
  group.settle();
  // The pre-vote's own answer waits for the disk too; four of five others are a quorum.
  t.is(group.get(1).role, 'candidate');
  t.is(group.get(1).term, 1);
  const held = group.heldWrites.get(1)!;
  group.heldWrites.delete(1);
  for (const work of held) group.get(1).appended(work);
  group.settle();
  t.is(group.get(1).role, 'leader');
});

test('a voter learns of a committed demotion from the learner that refuses its vote', (t) => {
  const group = CoreGroup.of([1, 2]);
  group.elect(1);
  group.heldWrites.set(2, []);
  const demotion = { changes: [{ op: ConfChangeOp.AddLearner, id: 1 }] };
  t.is(group.get(1).proposeConfChange(demotion).refusal, undefined);
  group.settle();
  // From here on member 2 hears nothing: neither the commit nor one more entry.
  group.lose = ({ to }) => to === 2;
  group.propose(1);
  const last = group.get(1).lastIndex;
  const held = group.heldWrites.get(2)!;
  group.heldWrites.delete(2);
  for (const work of held) group.get(2).appended(work);
  group.settle();
  t.deepEqual(group.get(1).conf.learners, [1]);
  t.is(group.get(2).lastIndex, last - 1);
  t.deepEqual(group.get(2).conf.voters, [1, 2]);

  group.heal();
  group.tickAll(60);
  t.is(group.get(2).role, 'leader');
  t.deepEqual(group.get(2).conf.voters, [2]);
  t.is(group.get(1).leader, 2);
});
