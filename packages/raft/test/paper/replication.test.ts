import test from 'ava';
import { MessageType } from '../../src/core/message.js';
import { CoreGroup, core, entriesOf } from '../support/core-group.js';
import { message } from '../support/messages.js';
import { Lone, ofType } from './lone.js';

/** Raft paper, §5.3: log replication. */

const VOTERS = [1, 2, 3];
const data = new TextEncoder().encode('some data');

function leader(voters: readonly number[] = VOTERS): Lone {
  const member = new Lone({ voters });
  member.becomeLeader();
  member.acknowledge(1, ...voters.filter((id) => id !== 1));
  return member;
}

test('§5.3 a leader appends a command to its log and sends it to all others', (t) => {
  const member = leader();
  member.core.propose([data]);
  const sent = ofType(member.drain(), MessageType.Append);
  t.is(member.core.lastIndex, 2);
  t.is(member.core.commitIndex, 1);
  t.deepEqual(
    sent.map(({ to, term, previousIndex: index, previousTerm: logTerm, commit, entries }) => ({
      to,
      term,
      index,
      logTerm,
      commit,
      entries: entries.map((entry) => [entry.term, entry.index]),
    })),
    [2, 3].map((to) => ({ to, term: 1, index: 1, logTerm: 1, commit: 1, entries: [[1, 2]] })),
  );
});

test('§5.3 an entry on a majority is committed, applied, and told to the others', (t) => {
  const member = leader();
  member.core.propose([data]);
  member.drain();
  const sent = member.acknowledge(2, 2);
  t.is(member.core.commitIndex, 2);
  t.deepEqual(member.applied.at(-1)?.data, data);
  t.deepEqual(
    ofType(sent, MessageType.Append)
      .map(({ to, commit }) => [to, commit])
      .sort(),
    [
      [2, 2],
      [3, 2],
    ],
  );
});

test('§5.3 it takes a majority to acknowledge, no more and no less', (t) => {
  const cases: [size: number, acknowledged: number[], committed: boolean][] = [
    [1, [], true],
    [3, [], false],
    [3, [2], true],
    [3, [2, 3], true],
    [5, [], false],
    [5, [2], false],
    [5, [2, 3], true],
    [5, [2, 3, 4], true],
    [5, [2, 3, 4, 5], true],
  ];
  for (const [size, acknowledged, committed] of cases) {
    const member = leader(Array.from({ length: size }, (_, i) => i + 1));
    member.core.propose([data]);
    member.drain();
    member.acknowledge(2, ...acknowledged);
    t.is(member.core.commitIndex, committed ? 2 : 1, `${acknowledged} of ${size}`);
  }
});

test('§5.3 committing an entry commits all before it, of earlier leaders too', (t) => {
  for (const log of [[], [2], [1, 2], [1]]) {
    const member = new Lone({ voters: VOTERS, log, hardState: { term: 2 } });
    member.becomeLeader();
    member.core.propose([data]);
    member.drain();
    const last = log.length + 2;
    t.is(member.core.lastIndex, last);
    member.acknowledge(last, 2);
    t.is(member.core.commitIndex, last);
    t.deepEqual(
      member.applied.map(({ term, index }) => [term, index]),
      [...log, 3, 3].map((term, i) => [term, i + 1]),
    );
  }
});

test('§5.3 a follower applies what the leader says is committed, in order', (t) => {
  for (const [terms, commit] of [
    [[1], 1],
    [[1, 1], 2],
    [[1, 1], 1],
  ] as const) {
    const member = new Lone({ voters: VOTERS });
    member.receive(
      message(MessageType.Append, 2, 1, { term: 1, entries: entriesOf(terms), commit }),
    );
    t.is(member.core.commitIndex, commit);
    t.deepEqual(
      member.applied.map(({ index }) => index),
      Array.from({ length: commit }, (_, i) => i + 1),
    );
  }
});

test('§5.3 a follower accepts an Append only where the entry before it is the same', (t) => {
  const cases: [index: number, logTerm: number, expected: object][] = [
    [0, 0, { rejected: false, match: 1 }],
    [1, 1, { rejected: false, match: 1 }],
    [2, 2, { rejected: false, match: 2 }],
    [2, 3, { rejected: true, previousIndex: 2, hintIndex: 2, hintTerm: 2 }],
    [2, 1, { rejected: true, previousIndex: 2, hintIndex: 1, hintTerm: 1 }],
    [3, 3, { rejected: true, previousIndex: 3, hintIndex: 2, hintTerm: 2 }],
  ];
  for (const [index, logTerm, expected] of cases) {
    // Entry 1 is committed: what the leader says about less needs no check.
    const member = new Lone({ voters: VOTERS, log: [1, 2], hardState: { term: 2, commit: 1 } });
    const sent = member.receive(
      message(MessageType.Append, 2, 1, {
        term: 3,
        previousIndex: index,
        previousTerm: logTerm,
      }),
    );
    t.like(ofType(sent, MessageType.AppendResponse)[0], expected, `after ${logTerm}/${index}`);
  }
});

test('§5.3 what conflicts with the leader is cut off, what does not stays', (t) => {
  const cases: [index: number, logTerm: number, terms: number[], log: number[]][] = [
    [2, 2, [3], [1, 2, 3]],
    [1, 1, [3, 4], [1, 3, 4]],
    [0, 0, [1], [1, 2]],
    [0, 0, [3], [3]],
    [1, 1, [2], [1, 2]],
    [2, 2, [], [1, 2]],
  ];
  for (const [index, logTerm, terms, log] of cases) {
    const member = new Lone({ voters: VOTERS, log: [1, 2] });
    const entries = entriesOf(terms, index);
    member.receive(
      message(MessageType.Append, 2, 1, {
        term: 4,
        previousIndex: index,
        previousTerm: logTerm,
        entries,
      }),
    );
    t.deepEqual(member.terms(), log, `${terms} after ${logTerm}/${index}`);
  }
});

test('§5.3 a leader brings a follower to its own log, whatever the follower has (figure 7)', (t) => {
  const leads = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  for (const follows of [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    [],
  ]) {
    const group = CoreGroup.of([1, 2, 3], { log: leads, hardState: { term: 8 } });
    group.add(2, core(2, { voters: VOTERS, log: follows, hardState: { term: 8 } }));
    group.elect(1);
    t.is(group.terms(2), '1 1 1 4 4 5 5 6 6 6 9');
    t.is(group.get(2).commitIndex, 11);
  }
});
