import test from 'ava';
import { ConfChangeOp } from '../../src/core/conf-change.js';
import { MessageType } from '../../src/core/message.js';
import { MAX_PENDING_READS } from '../../src/core/leader.js';
import { CoreGroup, core } from '../support/core-group.js';
import { message } from '../support/messages.js';

test('a read is served at the commit once a quorum has answered', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const index = group.propose(1);
  t.true(group.get(1).readIndex(77));
  group.work();
  t.deepEqual(group.reads.get(1), []);
  group.settle();
  t.deepEqual(group.reads.get(1), [{ context: 77, index }]);
});

test('reads of one turn share a round of heartbeats', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  for (let i = 1; i <= 100; i++) group.get(1).readIndex(i);
  group.sent.length = 0;
  group.settle();
  t.is(group.reads.get(1)!.length, 100);
  t.is(group.sent.filter(({ type }) => type === MessageType.Heartbeat).length, 2);
});

test('a follower asks the leader', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const index = group.propose(1);
  t.true(group.get(2).readIndex(5));
  group.settle();
  t.deepEqual(group.reads.get(2), [{ context: 5, index }]);
});

test('a leader that was cut off serves no read', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.isolate(1);
  group.get(1).readIndex(5);
  group.settle();
  group.tick(1, 9);
  t.deepEqual(group.reads.get(1), []);
});

test('an answer to an earlier round proves nothing for a later read', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const leader = group.get(1);
  leader.readIndex(1);
  const late = leader
    .ready()!
    .messages.flatMap((each) => (each.type === MessageType.Heartbeat ? [each] : []));
  t.is(late.length, 2);
  leader.readIndex(2);
  group.work();
  group.queue = [];
  leader.step(message(MessageType.HeartbeatResponse, 2, 1, { term: 1, round: late[0]!.round }));
  group.work();
  t.deepEqual(
    group.reads.get(1)!.map(({ context }) => context),
    [1],
  );
  leader.step(message(MessageType.HeartbeatResponse, 3, 1, { term: 1, round: late[0]!.round + 1 }));
  group.work();
  t.deepEqual(
    group.reads.get(1)!.map(({ context }) => context),
    [1, 2],
  );
});

test('a new leader serves no read before it has committed an entry of its own', (t) => {
  const leader = core(1, { voters: [1, 2, 3], log: [1], hardState: { commit: 1 } });
  leader.campaign();
  leader.appended(leader.ready()!.append!);
  leader.step(message(MessageType.PreVoteResponse, 2, 1, { term: 2 }));
  leader.appended(leader.ready()!.append!);
  leader.step(message(MessageType.VoteResponse, 2, 1, { term: 2 }));
  leader.appended(leader.ready()!.append!);
  leader.readIndex(9);
  const heartbeat = (context: number) =>
    leader.step(message(MessageType.HeartbeatResponse, 2, 1, { term: 2, round: context }));
  heartbeat(1);
  t.deepEqual(leader.ready()?.readStates ?? [], []);
  leader.step(message(MessageType.AppendResponse, 2, 1, { term: 2, rejected: false, match: 2 }));
  leader.ready();
  heartbeat(1);
  t.deepEqual(leader.ready()!.readStates, [{ context: 9, index: 2 }]);
});

test('a smaller quorum releases reads that waited for a larger one', (t) => {
  const group = CoreGroup.of([1, 2, 3, 4]);
  group.elect(1);
  group.lose = ({ type }) => type === MessageType.HeartbeatResponse;
  group.get(1).readIndex(3);
  group.settle();
  t.deepEqual(group.reads.get(1), []);
  group.lose = ({ type, from }) => type === MessageType.HeartbeatResponse && from !== 2;
  group.tick(1);
  t.deepEqual(group.reads.get(1), []);
  group.change(1, { changes: [{ op: ConfChangeOp.Remove, id: 4 }] });
  t.is(group.reads.get(1)!.length, 1);
});

test('reads are refused beyond a limit, and freed with the leadership', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const leader = group.get(1);
  for (let i = 0; i < MAX_PENDING_READS; i++) leader.readIndex(i);
  t.false(leader.readIndex(0));
  leader.stepDown();
  leader.step(message(MessageType.TimeoutNow, 2, 1, { term: 1 }));
  group.settle();
  t.is(leader.role, 'leader');
  t.true(leader.readIndex(0));
});

test('a lone voter needs no heartbeat to read', (t) => {
  const group = CoreGroup.of([1]);
  group.elect(1);
  group.get(1).readIndex(4);
  group.work();
  t.deepEqual(group.reads.get(1), [{ context: 4, index: 1 }]);
});
