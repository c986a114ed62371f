import test from 'ava';
import { type Message, MessageType } from '../../src/core/message.js';
import { RaftFaultError } from '../../src/core/assert.js';
import { CoreGroup, core, entriesOf, NO_DATA } from '../support/core-group.js';
import { appendsWithEntries, matchOf, message } from '../support/messages.js';

/** Raft paper, figure 7: the leader's log for term 8, and six logs that may follow it. */
const LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FIGURE_7: Readonly<Record<string, readonly number[]>> = {
  'lacks an entry': [1, 1, 1, 4, 4, 5, 5, 6, 6],
  'lacks many': [1, 1, 1, 4],
  'has one more': [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
  'has two more of a later term': [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
  'lacks some and has others': [1, 1, 1, 4, 4, 4, 4],
  'was a leader that nobody followed': [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
};

for (const [name, log] of Object.entries(FIGURE_7)) {
  test(`a follower that ${name} ends with the leader's log (figure 7)`, (t) => {
    const group = new CoreGroup();
    const voters = [1, 2, 3];
    group.add(1, core(1, { voters, log: LEADER, hardState: { term: 7 } }));
    group.add(2, core(2, { voters, log: LEADER, hardState: { term: 7 } }));
    group.add(3, core(3, { voters, log, hardState: { term: 7 } }));
    // With follower 3 away, 2 grants the vote that 3 might refuse.
    group.isolate(3);
    group.elect(1);
    group.heal();
    group.sent.length = 0;
    group.tickAll(3);
    t.is(group.terms(3), [...LEADER, 8].join(' '));
    t.is(group.get(3).commitIndex, 11);
    const refused = group.sent.filter(rejectedBy3).length;
    const terms = new Set(log).size;
    t.true(refused <= terms, `${refused} probes for ${terms} terms`);
  });
}

function rejectedBy3(sent: Message): boolean {
  return sent.type === MessageType.AppendResponse && sent.from === 3 && sent.rejected;
}

test('a conflict costs one probe per term, not one per entry', (t) => {
  const group = new CoreGroup();
  const voters = [1, 2, 3];
  const ours = [1, ...Array<number>(50).fill(5)];
  const theirs = [1, ...Array<number>(80).fill(4)];
  group.add(1, core(1, { voters, log: ours }));
  group.add(2, core(2, { voters, log: ours }));
  group.add(3, core(3, { voters, log: theirs }));
  group.elect(1);
  t.is(group.terms(3), [...ours, 6].join(' '));
  t.true(group.sent.filter(rejectedBy3).length <= 2);
});

test('an entry of an earlier term is not committed by counting (figure 8)', (t) => {
  const voters = [1, 2, 3, 4, 5];
  const leader = core(1, { voters, log: [1, 2], hardState: { term: 3, commit: 1 } });
  leader.campaign();
  leader.appended(leader.ready()!.append!);
  for (const from of [2, 3])
    leader.step(message(MessageType.PreVoteResponse, from, 1, { term: 4 }));
  leader.appended(leader.ready()!.append!);
  for (const from of [2, 3]) leader.step(message(MessageType.VoteResponse, from, 1, { term: 4 }));
  t.is(leader.role, 'leader');
  leader.appended(leader.ready()!.append!);
  const ack = (from: number, index: number) =>
    leader.step(
      message(MessageType.AppendResponse, from, 1, { term: 4, rejected: false, match: index }),
    );
  for (const from of [2, 3, 4, 5]) ack(from, 2);
  t.is(leader.commitIndex, 1, 'held by all, but of term 2');
  ack(2, 3);
  t.is(leader.commitIndex, 1);
  ack(3, 3);
  t.is(leader.commitIndex, 3, 'an entry of its own term commits those before it');
});

test('a follower commits no further than what it knows to match', (t) => {
  const follower = core(2, { voters: [1, 2, 3], log: [1, 1, 1, 1] });
  follower.step(
    message(MessageType.Append, 1, 2, {
      term: 2,
      previousIndex: 1,
      previousTerm: 1,
      entries: entriesOf([1], 1),
      commit: 4,
    }),
  );
  t.is(follower.commitIndex, 2);
});

test('a late and shorter append undoes nothing', (t) => {
  const follower = core(2, { voters: [1, 2, 3] });
  const append = (count: number) =>
    message(MessageType.Append, 1, 2, {
      term: 1,
      entries: entriesOf(Array<number>(count).fill(1)),
    });
  follower.step(append(5));
  follower.step(append(2));
  t.is(follower.lastIndex, 5);
});

test('a leader that contradicts a committed entry stops the member', (t) => {
  const follower = core(2, { voters: [1, 2], log: [1, 1], hardState: { commit: 2 } });
  t.throws(
    () =>
      follower.step(
        message(MessageType.Append, 1, 2, {
          term: 3,
          previousIndex: 2,
          previousTerm: 1,
          commit: 9,
        }),
      ) ?? follower.step(message(MessageType.Heartbeat, 1, 2, { term: 3, commit: 9 })),
    { instanceOf: RaftFaultError, message: /lost entries it had acknowledged/ },
  );
});

test('nothing is acknowledged or applied before it is durable', (t) => {
  const follower = core(2, { voters: [1, 2] });
  follower.step(
    message(MessageType.Append, 1, 2, { term: 1, entries: entriesOf([1, 1]), commit: 2 }),
  );
  const ready = follower.ready()!;
  t.deepEqual(ready.messages, []);
  t.is(ready.apply, undefined);
  t.deepEqual(ready.append!.hardState, { term: 1, vote: 0, commit: 2 });
  t.is(follower.ready(), undefined);
  follower.appended(ready.append!);
  const then = follower.ready()!;
  t.like(then.messages[0], { type: MessageType.AppendResponse, match: 2 });
  t.is(then.apply!.entries.length, 2);
});

test('a leader sends before its own disk is done, and counts itself only afterwards', (t) => {
  const group = CoreGroup.of([1, 2]);
  group.elect(1);
  const leader = group.get(1);
  leader.propose([NO_DATA]);
  const ready = leader.ready()!;
  t.is(appendsWithEntries(ready.messages)[0]!.entries.length, 1);
  leader.step(message(MessageType.AppendResponse, 2, 1, { term: 1, rejected: false, match: 2 }));
  t.is(leader.commitIndex, 1);
  leader.appended(ready.append!);
  t.is(leader.commitIndex, 2);
});

test('several writes may be under way, and the last one to finish acknowledges all', (t) => {
  const follower = core(2, { voters: [1, 2] });
  const append = (index: number) =>
    message(MessageType.Append, 1, 2, {
      term: 1,
      previousIndex: index,
      previousTerm: index === 0 ? 0 : 1,
      entries: entriesOf([1], index),
    });
  follower.step(append(0));
  const first = follower.ready()!.append!;
  follower.step(append(1));
  const second = follower.ready()!.append!;
  t.deepEqual(
    [first, second].map(({ entries }) => entries.map(({ index }) => index)),
    [[1], [2]],
  );
  follower.appended(first);
  t.is(matchOf(follower.ready()!.messages[0]), 1);
  follower.appended(second);
  t.is(matchOf(follower.ready()!.messages[0]), 2);
});

test('a finished write of an earlier term does not acknowledge entries brought back since (ABA)', (t) => {
  const follower = core(2, { voters: [1, 2, 3, 4, 5] });
  const append = (from: number, term: number, entryTerm: number, commit = 0) =>
    message(MessageType.Append, from, 2, { term, entries: entriesOf([entryTerm]), commit });
  follower.step(append(1, 1, 1));
  const first = follower.ready()!.append!;
  follower.step(append(3, 2, 2));
  const second = follower.ready()!.append!;
  follower.step(append(4, 3, 1, 1));
  const third = follower.ready()!.append!;
  const applied = () => follower.ready()?.apply?.entries.length ?? 0;
  follower.appended(first);
  t.is(applied(), 0, 'the second write is still going to remove it');
  follower.appended(second);
  t.is(applied(), 0);
  follower.appended(third);
  t.is(applied(), 1);
});

test('appends are sent ahead of their answers up to the window in messages', (t) => {
  const config = { maxInflightMessages: 3, maxBytesPerMessage: 1 };
  const group = CoreGroup.of([1, 2], { config });
  group.elect(1);
  const leader = group.get(1);
  const appends = () => appendsWithEntries(leader.ready()?.messages ?? []);
  leader.propose(Array.from({ length: 10 }, () => NO_DATA));
  const sent = appends();
  t.deepEqual(
    sent.map(({ previousIndex }) => previousIndex),
    [1, 2, 3],
  );
  leader.step(message(MessageType.AppendResponse, 2, 1, { term: 1, rejected: false, match: 3 }));
  t.deepEqual(
    appends().map(({ previousIndex }) => previousIndex),
    [4, 5],
    'as many as were answered',
  );
});

test('the window in bytes stops a stream of large entries', (t) => {
  const config = { maxInflightBytes: 3000, maxBytesPerMessage: 1000 };
  const group = CoreGroup.of([1, 2], { config });
  group.elect(1);
  const leader = group.get(1);
  leader.propose(Array.from({ length: 20 }, () => new Uint8Array(900)));
  t.is(appendsWithEntries(leader.ready()!.messages).length, 4);
});

test('an answer to a heartbeat restarts a stream whose appends were all lost', (t) => {
  const config = { maxInflightMessages: 2, maxBytesPerMessage: 1 };
  const group = CoreGroup.of([1, 2, 3], { config });
  group.elect(1);
  group.lose = ({ to, type }) => to === 3 && type === MessageType.Append;
  for (let i = 0; i < 5; i++) group.propose(1);
  group.heal();
  t.is(group.get(3).lastIndex, 1);
  group.tickAll(2);
  t.is(group.get(3).lastIndex, 6);
  t.is(group.get(3).commitIndex, 6);
});

test('an unreachable member is probed, and streamed to again when it answers', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  const leader = group.get(1);
  leader.reportUnreachable(3);
  t.is(leader.memberProgress(3).state, 'probe');
  group.propose(1);
  t.is(leader.memberProgress(3).state, 'replicate');
});

test('answers that come late, twice or in another order do no harm', (t) => {
  const group = CoreGroup.of([1, 2, 3]);
  group.elect(1);
  for (let i = 0; i < 4; i++) group.propose(1);
  const leader = group.get(1);
  const before = leader.memberProgress(2);
  leader.step(message(MessageType.AppendResponse, 2, 1, { term: 1, rejected: false, match: 2 }));
  leader.step(
    message(MessageType.AppendResponse, 2, 1, {
      term: 1,
      rejected: true,
      previousIndex: 3,
      hintIndex: 1,
    }),
  );
  t.deepEqual(leader.memberProgress(2), before);
});

test('proposals beyond the limit of uncommitted bytes are refused until some are committed', (t) => {
  const group = CoreGroup.of([1, 2], { config: { maxUncommittedBytes: 100 } });
  group.elect(1);
  group.isolate(2);
  const leader = group.get(1);
  t.is(leader.propose([new Uint8Array(150)]).refusal, undefined, 'the first always passes');
  t.is(leader.propose([new Uint8Array(1)]).refusal, 'overloaded');
  t.is(leader.propose([NO_DATA]).refusal, undefined);
  group.settle();
  group.heal();
  group.tickAll(2);
  t.is(leader.uncommittedBytes, 0);
  t.is(leader.propose([new Uint8Array(60)]).refusal, undefined);
});

test('entries are handed out to be applied in portions, none twice and none left out', (t) => {
  const group = CoreGroup.of([1], { config: { maxApplyBytes: 100 } });
  group.elect(1);
  group.get(1).propose(Array.from({ length: 50 }, () => new Uint8Array(30)));
  group.settle();
  t.deepEqual(
    group.applied.get(1)!.map(({ index }) => index),
    Array.from({ length: 51 }, (_, i) => i + 1),
  );
});

test('malformed messages and those for others are dropped', (t) => {
  const follower = core(2, { voters: [1, 2] });
  const gap = entriesOf([1], 4);
  const future = entriesOf([9]);
  const bad = [
    message(MessageType.Append, 1, 3, { term: 1, entries: entriesOf([1]) }),
    message(MessageType.Append, 1, 2, { term: 1, entries: gap }),
    message(MessageType.Append, 1, 2, { term: 1, entries: future }),
    message(MessageType.Append, 0, 2, { term: 1 }),
    message(MessageType.Append, 2, 2, { term: 1 }),
    { ...message(MessageType.Append, 1, 2, { term: 0 }) },
  ];
  for (const each of bad) follower.step(each);
  t.is(follower.ready(), undefined);
  t.is(follower.term, 0);
});

test('the same calls give the same messages', (t) => {
  const run = () => {
    const group = CoreGroup.of([1, 2, 3, 4, 5]);
    group.elect(2);
    group.isolate(4, 5);
    for (let i = 0; i < 5; i++) group.propose(2, `p${i}`);
    group.heal();
    group.tickAll(25);
    return JSON.stringify(group.sent);
  };
  t.is(run(), run());
});

test('a new leader whose state is ahead of its commit takes over what the state proves', (t) => {
  const setup = { voters: [1, 2, 3], log: [1, 1, 1, 1], hardState: { commit: 2 } };
  const group = new CoreGroup();
  group.add(1, core(1, { ...setup, stateIndex: 4 }));
  group.add(2, core(2, setup));
  group.lose = ({ type }) => type === MessageType.Append;
  group.get(1).campaign();
  group.settle();
  t.is(group.get(1).role, 'leader');
  t.is(group.get(1).appliedIndex, 4, 'before a quorum has its first entry');
});
