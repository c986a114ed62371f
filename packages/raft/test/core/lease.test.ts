import test from 'ava';
import { DEFAULT_CONFIG, ReadMode } from '../../src/core/config.js';
import { Lease } from '../../src/core/lease.js';
import { MessageType } from '../../src/core/message.js';
import { RaftConfigError } from '../../src/index.js';
import { conf, core, CoreGroup } from '../support/core-group.js';
import { message } from '../support/messages.js';

const PROMISE_MS = 800;
const CONFIG = { readMode: ReadMode.Lease, promiseMs: PROMISE_MS, maxClockDriftPpm: 0 };
const TRIO = conf([1, 2, 3]);

/** One round that left at `atMs` and was answered by `ids`. */
function lease({ driftPpm = 0, rounds = 10, atMs = 1000, ids = [2] }): Lease {
  const made = new Lease(driftPpm, PROMISE_MS, rounds);
  made.begin(1);
  made.leaves(atMs);
  for (const id of ids) made.answered(id, 1, PROMISE_MS);
  return made;
}

test('a lease is the promise, less what a slow and a fast clock may make of it', (t) => {
  t.is(lease({}).remainingMs(TRIO, 1, 1000), 800);
  for (const driftPpm of [200, 50_000, 500_000]) {
    const rho = driftPpm / 1e6;
    const leftMs = lease({ driftPpm }).remainingMs(TRIO, 1, 1000);
    // In true time: how long a slow leader believes, and how long a fast voter is bound.
    const believed = leftMs / (1 - rho);
    const bound = PROMISE_MS / (1 + rho);
    t.true(Math.abs(believed - bound) < 1e-6);
  }
});

test('a lease ends at its last moment, not after it', (t) => {
  const made = lease({});
  t.true(made.remainingMs(TRIO, 1, 1799.9) > 0);
  t.is(made.remainingMs(TRIO, 1, 1800), 0);
  t.is(made.remainingMs(TRIO, 1, 99_999), 0);
});

test('a lease lasts as long as a quorum is bound, in a joint configuration one of each half', (t) => {
  const made = lease({ ids: [] });
  t.is(made.remainingMs(TRIO, 1, 1000), 0);
  made.answered(4, 1, PROMISE_MS);
  t.is(made.remainingMs(TRIO, 1, 1000), 0, 'a learner');
  const joint = { ...conf([1, 4, 5]), votersOutgoing: [1, 2, 3] };
  t.is(made.remainingMs(joint, 1, 1000), 0);
  made.answered(2, 1, 300);
  t.is(made.remainingMs(joint, 1, 1000), 300);
  t.is(made.remainingMs(conf([1, 2, 3, 4, 5]), 1, 1000), 300);
  t.is(made.remainingMs(conf([1]), 1, 77_000), PROMISE_MS);
});

test('an answer counts from when its own round left, and not at all for a forgotten round', (t) => {
  const made = lease({ ids: [], rounds: 2 });
  made.begin(5);
  made.begin(6);
  made.leaves(1500);
  made.answered(2, 7, PROMISE_MS);
  t.is(made.remainingMs(TRIO, 1, 1500), 800);
  made.answered(3, 4, PROMISE_MS);
  t.is(made.remainingMs(TRIO, 1, 1500), 800);
  made.begin(9);
  made.leaves(2000);
  made.answered(3, 4, PROMISE_MS);
  t.is(made.remainingMs(TRIO, 1, 2300), 0);
});

test('an older answer that comes late shortens nothing', (t) => {
  const made = lease({ ids: [] });
  made.begin(2);
  made.leaves(1400);
  made.answered(2, 2, PROMISE_MS);
  made.answered(2, 1, PROMISE_MS);
  t.is(made.remainingMs(TRIO, 1, 1400), 800);
});

test('without a time there is no lease, and the read asks a quorum', (t) => {
  const group = CoreGroup.of([1, 2, 3], { config: CONFIG });
  group.elect(1);
  group.tick(1);
  group.get(1).readIndex(7);
  group.settle();
  t.is(group.reads.get(1)!.length, 1);
  t.is(group.get(1).leaseReads, 0);
  t.is(group.get(1).quorumReads, 1);
});

test('a read is answered once, by the lease or by a quorum, even when the lease comes in between', (t) => {
  const leader = core(1, { voters: [1, 2], config: CONFIG });
  leader.campaign();
  const work = (nowMs: number) => {
    const ready = leader.ready(nowMs);
    if (ready?.append !== undefined) leader.appended(ready.append);
    return ready?.readStates.map(({ context }) => context) ?? [];
  };
  work(0);
  leader.step(message(MessageType.PreVoteResponse, 2, 1, { term: 1 }));
  work(0);
  leader.step(message(MessageType.VoteResponse, 2, 1, { term: 1 }));
  work(0);
  leader.step(message(MessageType.AppendResponse, 2, 1, { term: 1, rejected: false, match: 1 }));
  leader.tick();
  work(100);
  leader.readIndex(7);
  t.deepEqual(work(110), []);
  const answer = { term: 1, promiseMs: PROMISE_MS };
  leader.step(message(MessageType.HeartbeatResponse, 2, 1, { ...answer, round: 1 }));
  leader.readIndex(8);
  t.deepEqual(work(120), [8]);
  leader.step(message(MessageType.HeartbeatResponse, 2, 1, { ...answer, round: 2 }));
  t.deepEqual(work(130), [7]);
  t.deepEqual([leader.leaseReads, leader.quorumReads], [1, 1]);
  leader.readIndex(9);
  t.deepEqual(work(900), []);
});

test('a voter is bound for exactly an election timeout', (t) => {
  const voter = core(2, { voters: [1, 2, 3], config: { promiseMs: PROMISE_MS } });
  voter.step(message(MessageType.Heartbeat, 1, 2, { term: 1, round: 1 }));
  const asked = (term: number) => {
    voter.step(message(MessageType.PreVote, 3, 2, { term }));
    const responses = voter.ready()?.append?.responses ?? [];
    return responses.filter(({ type }) => type === MessageType.PreVoteResponse).length > 0;
  };
  for (let tick = 1; tick < DEFAULT_CONFIG.electionTicks; tick++) voter.tick();
  t.false(asked(2));
  voter.tick();
  t.true(asked(2));
});

test('options that cannot work are refused', (t) => {
  const refused = (config: object, text: RegExp) =>
    t.throws(() => core(1, { voters: [1], config }), {
      instanceOf: RaftConfigError,
      message: text,
    });
  refused({ readMode: 'stale' }, /readMode must be quorum or lease/);
  refused({ maxClockDriftPpm: -1 }, /maxClockDriftPpm must be 0 to 500000/);
  refused({ maxClockDriftPpm: 1e6 }, /maxClockDriftPpm must be 0 to 500000/);
  refused({ promiseMs: 0.5 }, /promiseMs/);
  refused({ ...CONFIG, electionTicks: 3, heartbeatTicks: 1 }, /electionTicks above heartbeatTicks/);
  t.notThrows(() => core(1, { voters: [1], config: { ...CONFIG, electionTicks: 4 } }));
});
