import test from 'ava';
import { MessageType } from '../../src/core/message.js';
import { entriesOf, message } from '../support/core-group.js';
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
  for (const type of [
    MessageType.Append,
    MessageType.Heartbeat,
    MessageType.PreVote,
    MessageType.Vote,
    MessageType.VoteResponse,
    MessageType.AppendResponse,
    MessageType.TimeoutNow,
  ]) {
    const member = new Lone({ voters: VOTERS, log: [2], hardState: { term: 3, vote: 1 } });
    member.drain();
    const before = member.core.status();
    const entries = type === MessageType.Append ? entriesOf([2], 1) : [];
    const sent = member.receive(
      message(type, 2, 1, { term: 2, index: 1, logTerm: 2, commit: 1, entries }),
    );
    t.deepEqual(member.core.status(), before, `type ${type}`);
    for (const answer of sent) t.is(answer.term, 3, 'the answer tells the newer term');
  }
});
