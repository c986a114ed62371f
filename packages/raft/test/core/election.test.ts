import test from 'ava';
import { describeMessage } from '../../src/core/describe.js';
import { MessageType } from '../../src/core/message.js';
import { CoreGroup, core } from '../support/core-group.js';
import { message, refuses } from '../support/messages.js';

test('a follower without a leader asks first, then votes for itself, then leads', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  for (let i = 0; i < 9; i++) group.get(1).tick();
  t.is(group.get(1).role, 'follower');
  group.get(1).tick();
  t.is(group.get(1).role, 'pre-candidate');
  t.is(group.get(1).term, 0);
  group.settle();
  t.is(group.get(1).role, 'leader');
  t.is(group.get(1).term, 1);
  t.deepEqual(
    [...group.cores.values()].map(({ leader, commitIndex }) => [leader, commitIndex]),
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  );
});

test('an election reads like the paper', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.isolate(3);
  group.elect(1);
  t.deepEqual(group.sent.filter(({ from, to }) => from + to === 3).map(describeMessage), [
    '1>2 PreVote term 1 last 0/0',
    '2>1 PreVoteResponse term 1 yes',
    '1>2 Vote term 1 last 0/0',
    '2>1 VoteResponse term 1 yes',
    '1>2 Append term 1 after 0/0 [1/1] commit 0',
    '2>1 AppendResponse term 1 to 1',
    '1>2 Append term 1 after 1/1 [] commit 1',
    '2>1 AppendResponse term 1 to 1',
  ]);
});

test('each election timeout is drawn from E to 2E-1 ticks', (t) => {
  const ticksUntilCampaign = (draw: number) => {
    const member = core(1, { voters: [1, 2], config: { random: () => draw } });
    let ticks = 0;
    while (member.role === 'follower' && ticks < 100) {
      member.tick();
      ticks++;
    }
    return ticks;
  };
  t.is(ticksUntilCampaign(0), 10);
  t.is(ticksUntilCampaign(0.999999), 19);
});

test('one vote per term, the same one when asked again', (t) => {
  const voter = core(1, { voters: [1, 2, 3] });
  const ask = (from: number) => {
    voter.step(message(MessageType.Vote, from, 1, { term: 5 }));
    const ready = voter.ready();
    const work = ready?.append;
    t.deepEqual(ready?.messages, [], 'no answer leaves before the vote is durable');
    return work!;
  };
  const first = ask(2);
  t.deepEqual(first.hardState, { term: 5, vote: 2, commit: 0 });
  t.true(first.mustSync);
  t.false(refuses(first.responses[0]!));
  t.false(refuses(ask(2).responses[0]!));
  t.true(refuses(ask(3).responses[0]!));
});

test('a vote survives a restart', (t) => {
  const voter = core(1, { voters: [1, 2, 3], hardState: { term: 5, vote: 2 } });
  voter.step(message(MessageType.Vote, 3, 1, { term: 5, lastIndex: 9, lastTerm: 4 }));
  t.true(refuses(voter.ready()!.append!.responses[0]!));
});

test('votes go only to candidates whose log is as good, by term first and length second', (t) => {
  const cases: [number, number, boolean][] = [
    [9, 2, false],
    [3, 3, true],
    [2, 3, false],
    [1, 4, true],
  ];
  for (const [index, logTerm, granted] of cases) {
    const voter = core(1, { voters: [1, 2], log: [1, 2, 3] });
    voter.step(message(MessageType.Vote, 2, 1, { term: 9, lastIndex: index, lastTerm: logTerm }));
    t.is(refuses(voter.ready()!.append!.responses[0]!), !granted, `${logTerm}/${index}`);
  }
});

test('a member that was cut off does not disturb the leader when it comes back', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.isolate(3);
  for (let i = 0; i < 60; i++) group.tickAll(1);
  t.is(group.get(3).role, 'pre-candidate');
  t.is(group.get(3).term, 1);
  group.heal();
  group.tickAll(12);
  t.is(group.get(1).role, 'leader');
  t.is(group.get(1).term, 1);
  t.is(group.get(3).leader, 1);
});

test('a member that hears a leader refuses other candidates, whatever their term', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.get(2).step(message(MessageType.Vote, 3, 2, { term: 7, lastIndex: 9, lastTerm: 6 }));
  group.settle();
  t.is(group.get(2).term, 1);
  group
    .get(2)
    .step(message(MessageType.Vote, 3, 2, { term: 7, lastIndex: 9, lastTerm: 6, force: true }));
  t.is(group.get(2).term, 7);
});

test('a leader that hears no quorum steps down within two election timeouts', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  t.true(group.get(1).quorumActive);
  group.isolate(1);
  let ticks = 0;
  while (group.get(1).role === 'leader' && ticks < 100) {
    group.tick(1);
    ticks++;
  }
  t.true(ticks <= 20, `${ticks} ticks`);
});

test('a leader that hears one of two others keeps leading', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  group.isolate(3);
  group.tickAll(100);
  t.is(group.get(1).role, 'leader');
});

test('a candidate with a higher term but an older log is freed by the leader it disturbs', (t) => {
  const group = CoreGroup.of([1, 2]);
  group.add(3, core(3, { voters: [1, 2, 3], hardState: { term: 8 } }));
  for (const id of [1, 2]) group.add(id, core(id, { voters: [1, 2, 3] }));
  group.isolate(3);
  group.elect(1);
  group.heal();
  group.tickAll(60);
  const leaders = [1, 2, 3].filter((id) => group.get(id).role === 'leader');
  t.is(leaders.length, 1);
  t.true(group.get(leaders[0]!).term > 8);
  t.true([1, 2, 3].every((id) => group.get(id).leader === leaders[0]));
});

test('a learner never campaigns, but votes when asked', (t) => {
  const learner = core(3, { voters: [1, 2], learners: [3] });
  for (let i = 0; i < 100; i++) learner.tick();
  t.is(learner.role, 'follower');
  t.false(learner.campaign());
  learner.step(message(MessageType.TimeoutNow, 1, 3, { term: 1 }));
  t.is(learner.role, 'follower');
  learner.step(message(MessageType.Vote, 1, 3, { term: 2 }));
  t.false(refuses(learner.ready()!.append!.responses[0]!));
});

test('a voter answers a candidate that its own configuration does not know', (t) => {
  const voter = core(1, { voters: [1, 2] });
  voter.step(message(MessageType.Vote, 7, 1, { term: 2 }));
  t.like(voter.ready()!.append!.responses[0], { to: 7, granted: true });
});

test('an answer to an earlier pre-vote does not count for a later one', (t) => {
  const member = core(1, { voters: [1, 2, 3], hardState: { term: 4 } });
  member.campaign();
  member.ready();
  // Granted when we asked for term 4, before another member had it.
  member.step(message(MessageType.PreVoteResponse, 2, 1, { term: 4 }));
  member.step(message(MessageType.PreVoteResponse, 3, 1, { term: 4 }));
  t.is(member.role, 'pre-candidate');
  member.step(message(MessageType.PreVoteResponse, 2, 1, { term: 5 }));
  member.step(message(MessageType.PreVoteResponse, 3, 1, { term: 5 }));
  t.is(member.role, 'candidate');
});

test('a candidate counts its own vote only when it is durable', (t) => {
  const member = core(1, { voters: [1] });
  member.campaign();
  const ask = member.ready()!;
  t.is(member.role, 'pre-candidate');
  member.appended(ask.append!);
  t.is(member.role, 'candidate');
  const vote = member.ready()!;
  t.deepEqual(vote.append!.hardState, { term: 1, vote: 1, commit: 0 });
  t.is(member.role, 'candidate');
  member.appended(vote.append!);
  t.is(member.role, 'leader');
});

test('two leaders in one term stop the member that sees them', (t) => {
  const member = core(1, { voters: [1, 2, 3] });
  member.step(message(MessageType.Heartbeat, 2, 1, { term: 3 }));
  t.throws(() => member.step(message(MessageType.Heartbeat, 3, 1, { term: 3 })), {
    code: 'RAFT_FAULT',
  });
});

test('messages of a deposed leader are answered with the newer term', (t) => {
  const member = core(1, { voters: [1, 2, 3], hardState: { term: 6 } });
  member.step(message(MessageType.Heartbeat, 2, 1, { term: 3 }));
  t.like(member.ready()!.append!.responses[0], { to: 2, term: 6 });
});
