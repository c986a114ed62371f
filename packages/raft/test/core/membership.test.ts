import test from 'ava';
import { ConfChangeError, ConfChangeOp } from '../../src/core/conf-change.js';
import { describeConf } from '../../src/core/describe.js';
import { MessageType } from '../../src/core/message.js';
import { CoreGroup, core } from '../support/core-group.js';
import { appendsWithEntries, message } from '../support/messages.js';

const { AddVoter, AddLearner, Remove } = ConfChangeOp;

test('a learner gets the log and counts for no quorum until it is promoted', (t) => {
  const group = CoreGroup.of([1]);
  group.add(2, core(2, { voters: [1] }));
  group.elect(1);
  group.propose(1);
  group.change(1, { changes: [{ op: AddLearner, id: 2 }] });
  group.tickAll(2);
  t.is(describeConf(group.get(2).conf), '(1) learners (2)');
  t.is(group.get(2).appliedIndex, group.get(1).appliedIndex);
  group.isolate(2);
  const alone = group.propose(1);
  t.is(group.get(1).commitIndex, alone, 'commits without the learner');
  group.heal();
  group.change(1, { changes: [{ op: AddVoter, id: 2 }] });
  group.tickAll(2);
  t.is(describeConf(group.get(2).conf), '(1 2)');
  group.isolate(2);
  const held = group.propose(1);
  t.is(group.get(1).commitIndex, held - 1, 'a voter is needed');
});

test('a member without a configuration never campaigns', (t) => {
  const joiner = core(9, { voters: [] });
  for (let i = 0; i < 100; i++) joiner.tick();
  t.false(joiner.campaign());
  t.is(joiner.term, 0);
});

test('a voter is replaced in one joint change that the leader leaves by itself', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.add(4, core(4, { voters: [1, 2, 3] }));
  group.elect(1);
  group.change(1, {
    changes: [
      { op: AddVoter, id: 4 },
      { op: Remove, id: 3 },
    ],
  });
  group.tickAll(2);
  for (const id of [1, 2, 4]) t.is(describeConf(group.get(id).conf), '(1 2 4)');
});

test('a new leader leaves the joint configuration that the old one entered', (t) => {
  const group = new CoreGroup();
  for (const id of [1, 2, 3, 4]) {
    // Each waits a little longer than the previous one, so that votes are not split for ever.
    group.add(id, core(id, { voters: [1, 2, 3], config: { random: () => id / 10 } }));
  }
  group.elect(1);
  const result = group.get(1).proposeConfChange({
    changes: [
      { op: AddVoter, id: 4 },
      { op: Remove, id: 3 },
    ],
  });
  t.is(result.refusal, undefined);
  // The change reaches the others, but the leader dies before it can leave.
  group.work();
  const entries = group.queue.splice(0);
  for (const each of entries) group.get(each.to).step(each);
  group.cores.delete(1);
  const leads = () => [2, 3, 4].find((id) => group.get(id).role === 'leader');
  for (let i = 0; i < 60 && leads() === undefined; i++) group.tickAll(1);
  group.tickAll(3);
  t.is(describeConf(group.get(leads()!).conf), '(1 2 4)');
});

test('only one change is under way at a time', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const leader = group.get(1);
  t.is(leader.proposeConfChange({ changes: [{ op: AddVoter, id: 4 }] }).refusal, undefined);
  t.is(
    leader.proposeConfChange({ changes: [{ op: Remove, id: 3 }] }).refusal,
    'conf-change-pending',
  );
  t.throws(
    () => {
      group.settle();
      leader.proposeConfChange({
        changes: [1, 2, 3, 4].map((id) => ({ op: Remove, id })),
      });
    },
    { instanceOf: ConfChangeError },
  );
});

test('a new leader changes nothing before an entry of its own term is applied', (t) => {
  const voters = [1, 2, 3];
  const leader = core(1, { voters, log: [1, 1], hardState: { term: 1 } });
  leader.campaign();
  leader.appended(leader.ready()!.append!);
  leader.step(message(MessageType.PreVoteResponse, 2, 1, { term: 2 }));
  leader.appended(leader.ready()!.append!);
  leader.step(message(MessageType.VoteResponse, 2, 1, { term: 2 }));
  t.is(leader.role, 'leader');
  const change = { changes: [{ op: AddVoter, id: 4 }] };
  t.is(leader.proposeConfChange(change).refusal, 'conf-change-pending');
});

test('a leader that removes itself steps down and the others continue', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.change(1, { changes: [{ op: Remove, id: 1 }] });
  t.is(group.get(1).role, 'follower');
  const next = [2, 3].find((id) => group.get(id).role === 'leader');
  t.truthy(next, 'without waiting for an election timeout');
  t.is(describeConf(group.get(next!).conf), '(2 3)');
  group.cores.delete(1);
  const index = group.propose(next!);
  t.is(group.get(next!).commitIndex, index);
});

test('the last of two is not stuck when the other is removed', (t) => {
  const group = CoreGroup.of([1, 2]);
  group.elect(1);
  group.change(1, { changes: [{ op: Remove, id: 1 }] });
  group.cores.delete(1);
  group.tickAll(40);
  t.is(group.get(2).role, 'leader');
  t.is(describeConf(group.get(2).conf), '(2)');
});

test('a removed follower learns that it is removed', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.change(1, { changes: [{ op: Remove, id: 3 }] });
  t.is(describeConf(group.get(3).conf), '(1 2)');
  t.false(group.get(3).campaign());
});

test('a smaller quorum commits what a larger one could not', (t) => {
  const group = CoreGroup.of([1, 2, 3, 4]);
  group.elect(1);
  group.isolate(4);
  group.change(1, { changes: [{ op: Remove, id: 4 }] });
  group.lose = ({ to }) => to >= 3;
  const index = group.propose(1);
  t.is(group.get(1).commitIndex, index);
});

test('nobody campaigns before a committed change is applied', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const follower = group.get(2);
  const leader = group.get(1);
  leader.proposeConfChange({ changes: [{ op: AddVoter, id: 4 }] });
  const [append] = appendsWithEntries(leader.ready()!.messages).filter(({ to }) => to === 2);
  follower.step({ ...append!, commit: 2 });
  const written = follower.ready()!.append!;
  follower.appended(written);
  t.false(follower.campaign());
  follower.step(message(MessageType.TimeoutNow, 1, 2, { term: 1 }));
  t.is(follower.role, 'follower');
  group.settle();
  t.not(follower.role, 'follower', 'the transfer is not forgotten');
});
