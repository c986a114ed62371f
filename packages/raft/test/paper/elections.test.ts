import test from 'ava';
import { MessageType } from '../../src/core/message.js';
import type { Role } from '../../src/core/raft.js';
import { CoreGroup } from '../support/core-group.js';
import { message } from '../support/messages.js';
import { Prng } from '@swarm/sim';
import { Lone, ofType } from './lone.js';

/** Raft paper, §5.2: leader election. The pre-vote (thesis §9.6) comes before each. */

const VOTERS = [1, 2, 3];
const E = 10;

test('§5.2 a member starts as a follower', (t) => {
  t.like(new Lone({ voters: VOTERS }).core.status(), { role: 'follower', leader: 0 });
});

test('§5.2 a leader sends heartbeats to all others in each interval', (t) => {
  const member = new Lone({ voters: VOTERS, config: { heartbeatTicks: 3 } });
  member.becomeLeader();
  t.deepEqual(member.tick(2), []);
  const beats = member.tick(1);
  t.deepEqual(
    beats.map(({ type, to, term }) => [type, to, term]),
    [
      [MessageType.Heartbeat, 2, 1],
      [MessageType.Heartbeat, 3, 1],
    ],
  );
});

test('§5.2 a follower that hears no leader for an election timeout starts an election', (t) => {
  const member = new Lone({ voters: VOTERS });
  t.deepEqual(member.tick(E - 1), []);
  const asked = member.tick(1);
  t.deepEqual(
    asked.map(({ type, to, term }) => [type, to, term]),
    [
      [MessageType.PreVote, 2, 1],
      [MessageType.PreVote, 3, 1],
    ],
  );
  const votes = member.receive(message(MessageType.PreVoteResponse, 2, 1, { term: 1 }));
  t.like(member.core.status(), { role: 'candidate', term: 1, vote: 1 });
  t.deepEqual(
    votes.map(({ type, to, term }) => [type, to, term]),
    [
      [MessageType.Vote, 2, 1],
      [MessageType.Vote, 3, 1],
    ],
  );
});

test('§5.2 a candidate that nobody elects starts a new election in a new term', (t) => {
  const member = new Lone({ voters: VOTERS });
  member.becomeCandidate();
  t.is(member.core.term, 1);
  const asked = member.tick(E);
  t.deepEqual(
    ofType(asked, MessageType.PreVote).map(({ to, term }) => [to, term]),
    [
      [2, 2],
      [3, 2],
    ],
  );
  member.receive(message(MessageType.PreVoteResponse, 3, 1, { term: 2 }));
  t.like(member.core.status(), { role: 'candidate', term: 2, vote: 1 });
});

test('§5.2 one round of votes decides: a majority wins, its refusal loses, less is open', (t) => {
  const cases: [voters: number, granted: number[], refused: number[], role: Role][] = [
    [1, [], [], 'leader'],
    [3, [2, 3], [], 'leader'],
    [3, [2], [], 'leader'],
    [3, [], [], 'candidate'],
    [3, [], [2], 'candidate'],
    [3, [], [2, 3], 'follower'],
    [5, [2, 3, 4, 5], [], 'leader'],
    [5, [2, 3], [], 'leader'],
    [5, [2], [], 'candidate'],
    [5, [2], [3, 4], 'candidate'],
    [5, [2], [3, 4, 5], 'follower'],
    [5, [2, 3], [4, 5], 'leader'],
  ];
  for (const [size, granted, refused, role] of cases) {
    const voters = Array.from({ length: size }, (_, i) => i + 1);
    const member = new Lone({ voters });
    member.becomeCandidate();
    for (const from of granted) {
      member.receive(message(MessageType.VoteResponse, from, 1, { term: 1 }));
    }
    for (const from of refused) {
      member.receive(message(MessageType.VoteResponse, from, 1, { term: 1, granted: false }));
    }
    t.is(member.core.role, role, `${size}: ${granted} against ${refused}`);
    t.is(member.core.term, 1);
  }
});

test('§5.2 a follower votes for one candidate a term, whoever asks first', (t) => {
  for (const [vote, candidate, refused] of [
    [0, 2, false],
    [0, 3, false],
    [2, 2, false],
    [3, 3, false],
    [2, 3, true],
    [3, 2, true],
  ] as const) {
    const member = new Lone({ voters: VOTERS, hardState: { term: 1, vote } });
    const [answer] = member.receive(message(MessageType.Vote, candidate, 1, { term: 1 }));
    t.like(answer, { type: MessageType.VoteResponse, to: candidate, term: 1, granted: !refused });
  }
});

for (const term of [1, 2]) {
  test(`§5.2 a candidate that hears a leader of ${term === 1 ? 'its own' : 'a newer'} term follows it`, (t) => {
    const member = new Lone({ voters: VOTERS });
    member.becomeCandidate();
    member.receive(message(MessageType.Append, 2, 1, { term }));
    t.like(member.core.status(), { role: 'follower', term, leader: 2 });
  });
}

/** Ticks until the next request for votes. */
function waited(member: Lone): number {
  for (let ticks = 1; ticks <= 2 * E; ticks++) {
    if (ofType(member.tick(1), MessageType.PreVote).length > 0) return ticks;
  }
  throw new Error('no election within twice the timeout');
}

for (const role of ['follower', 'candidate'] as const) {
  test(`§5.2 the election timeout of a ${role} is drawn from all of [E, 2E-1]`, (t) => {
    const seen = new Set<number>();
    const random = new Prng(7, 'test').fraction;
    for (let round = 0; round < 50 * E; round++) {
      const member = new Lone({ voters: VOTERS, config: { random } });
      if (role === 'candidate') member.becomeCandidate();
      seen.add(waited(member));
    }
    const all = Array.from({ length: E }, (_, i) => E + i);
    t.deepEqual(
      [...seen].sort((a, b) => a - b),
      all,
    );
  });

  test(`§5.2 timeouts of ${role}s rarely strike together, so split votes are rare`, (t) => {
    const random = new Prng(11, 'test').fraction;
    let together = 0;
    const rounds = 500;
    for (let round = 0; round < rounds; round++) {
      const waits = [1, 2, 3, 4, 5].map(() => {
        const member = new Lone({ voters: VOTERS, config: { random } });
        if (role === 'candidate') member.becomeCandidate();
        return waited(member);
      });
      const first = Math.min(...waits);
      if (waits.filter((ticks) => ticks === first).length > 1) together++;
    }
    // Five draws of ten values: the smallest is shared in about 38 % of the rounds.
    t.true(together / rounds < 0.45, `${together} of ${rounds}`);
  });
}

test('§5.2 at most one leader is elected in a term, however messages are lost', (t) => {
  const random = new Prng(3, 'test').fraction;
  const leaders = new Map<number, number>();
  const group = CoreGroup.of([1, 2, 3, 4, 5], { config: { random } });
  let away = 0;
  group.lose = ({ from, to }) => from === away || to === away || random() < 0.3;
  for (let round = 0; round < 600; round++) {
    group.tickAll(1);
    for (const [id, { role, term }] of group.cores) {
      if (role !== 'leader') continue;
      t.is(leaders.get(term) ?? id, id);
      leaders.set(term, id);
      // Cuts each leader off after a while; for some time it still believes that it leads.
      if (round % 50 === 0) away = id;
    }
  }
  t.true(leaders.size > 3, `${leaders.size} terms had a leader`);
});
