import test from 'ava';
import { CoreGroup } from '../support/core-group.js';

test('leadership goes to a caught-up voter at once', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  t.true(group.get(1).transferLeader(3));
  group.settle();
  t.is(group.get(3).role, 'leader');
  t.is(group.get(1).leader, 3);
});

test('a voter that lags gets the log first, and no proposal is accepted meanwhile', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.isolate(3);
  for (let i = 0; i < 5; i++) group.propose(1);
  t.true(group.get(1).transferLeader(3));
  t.is(group.get(1).propose([new Uint8Array(1)]).refusal, 'transferring');
  group.settle();
  group.heal();
  group.tickAll(3);
  t.is(group.get(3).role, 'leader');
  t.is(group.get(3).lastIndex, 7);
});

test('a transfer that takes an election timeout is given up', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.isolate(3);
  group.get(1).transferLeader(3);
  group.tickAll(10);
  t.is(group.get(1).role, 'leader');
  group.propose(1);
});

test('a follower can ask for leadership', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  t.false(group.get(2).transferLeader(3));
  t.true(group.get(2).transferLeader(2));
  group.settle();
  t.is(group.get(2).role, 'leader');
});

test('leadership does not go to a learner, to an unknown member or to the leader itself', (t) => {
  const group = CoreGroup.of([1, 2, 3], { voters: [1, 2], learners: [3] });
  group.elect(1);
  for (const to of [1, 3, 9]) t.false(group.get(1).transferLeader(to));
  group.propose(1);
});
