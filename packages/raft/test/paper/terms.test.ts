import test from 'ava';
import { MessageType } from '../../src/core/message.js';
import { entriesOf } from '../support/core-group.js';
import { message } from '../support/messages.js';
import { Lone } from './lone.js';

/** Raft paper, §5.1: terms. */

const VOTERS = [1, 2, 3];

for (const role of ['follower', 'candidate', 'leader'] as const) {
  test(`§5.1 a ${role} that sees a newer term takes it over and follows`, (t) => {
    const member = new Lone({ voters: VOTERS });
    if (role === 'candidate') member.becomeCandidate();
    if (role === 'leader') member.becomeLeader();
    t.is(member.core.role, role);
    const term = member.core.term + 1;
    member.receive(message(MessageType.Append, 2, 1, { term }));
    t.like(member.core.status(), { role: 'follower', term, leader: 2, vote: 0 });
  });
}

test('§5.1 what comes from an older term is refused, and changes nothing', (t) => {
  const candidate = { term: 2, lastIndex: 1, lastTerm: 2 };
  for (const old of [
    message(MessageType.Append, 2, 1, {
      term: 2,
      previousIndex: 1,
      previousTerm: 2,
      entries: entriesOf([2], 1),
      commit: 1,
    }),
    message(MessageType.Heartbeat, 2, 1, { term: 2, match: 1, commit: 1 }),
    message(MessageType.PreVote, 2, 1, candidate),
    message(MessageType.Vote, 2, 1, candidate),
    message(MessageType.VoteResponse, 2, 1, { term: 2 }),
    message(MessageType.AppendResponse, 2, 1, { term: 2, rejected: false, match: 1 }),
    message(MessageType.TimeoutNow, 2, 1, { term: 2 }),
  ]) {
    const member = new Lone({ voters: VOTERS, log: [2], hardState: { term: 3, vote: 1 } });
    member.drain();
    const before = member.core.status();
    const sent = member.receive(old);
    t.deepEqual(member.core.status(), before, `type ${old.type}`);
    for (const answer of sent) t.is(answer.term, 3, 'the answer tells the newer term');
  }
});
