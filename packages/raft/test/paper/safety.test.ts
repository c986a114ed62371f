import test from 'ava';
import { MessageType } from '../../src/core/message.js';
import { message, refuses } from '../support/messages.js';
import { Lone, ofType } from './lone.js';

/** Raft paper, §5.4: safety. */

const VOTERS = [1, 2, 3];

test('§5.4.1 a request for votes carries the last entry of the candidate', (t) => {
  for (const log of [[1], [1, 2], [1, 1, 4, 4]]) {
    const member = new Lone({ voters: VOTERS, log });
    const term = log.at(-1)! + 1;
    const sent = member.becomeCandidate();
    t.deepEqual(
      ofType(sent, MessageType.Vote).map((vote) => [
        vote.to,
        vote.term,
        vote.lastIndex,
        vote.lastTerm,
      ]),
      [2, 3].map((to) => [to, term, log.length, log.at(-1)!]),
    );
  }
});

test('§5.4.1 a voter refuses a candidate with less than it has: by last term, then by length', (t) => {
  const cases: [log: number[], logTerm: number, index: number, refused: boolean][] = [
    [[1], 1, 1, false],
    [[1], 1, 2, false],
    [[1, 1], 1, 1, true],
    [[1], 2, 1, false],
    [[1], 2, 2, false],
    [[1, 1], 2, 1, false],
    [[2], 1, 1, true],
    [[2], 1, 2, true],
    [[1, 2], 1, 1, true],
    [[1, 2], 2, 2, false],
    [[1, 1, 1, 2], 3, 1, false],
  ];
  for (const [log, logTerm, index, refused] of cases) {
    for (const type of [MessageType.PreVote, MessageType.Vote]) {
      const member = new Lone({ voters: VOTERS, log });
      const [answer] = member.receive(
        message(type, 2, 1, { term: 4, lastIndex: index, lastTerm: logTerm }),
      );
      t.is(refuses(answer), refused, `${logTerm}/${index} for ${log}`);
    }
  }
});

test('§5.4.2 only an entry of the leader’s own term commits by counting', (t) => {
  for (const [index, commit] of [
    [1, 0],
    [2, 0],
    [3, 3],
  ] as const) {
    const member = new Lone({ voters: VOTERS, log: [1, 2], hardState: { term: 2 } });
    member.becomeLeader();
    t.is(member.core.term, 3);
    member.acknowledge(index, 2);
    t.is(member.core.commitIndex, commit, `acknowledged up to ${index}`);
  }
});
