import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TraceEvent } from '@swarm/raft';
import { makePlan, PROFILES, type Profile } from '../src/plan.js';
import { runPlan } from '../src/simulation.js';
import { mergeTraces, TraceChecker, TraceViolation } from '@swarm/raft/trace-check';
import test from 'ava';

const SEEDS_PER_PROFILE = 3;
const SEEDS_FOR_ALL = 100;
const DEADLINE_MS = 60_000;

async function traceOf(seed: number, profile: Profile): Promise<TraceEvent[]> {
  const events: TraceEvent[] = [];
  const { failure } = await runPlan(makePlan(seed, profile), undefined, (event) => {
    events.push(event);
  });
  if (failure !== undefined) throw failure;
  return events;
}

/** The first event that is refused. */
function violation(events: readonly TraceEvent[]): TraceViolation | undefined {
  const checker = new TraceChecker();
  try {
    for (const event of events) checker.check(event);
  } catch (error) {
    if (error instanceof TraceViolation) return error;
    throw error;
  }
  return undefined;
}

for (const profile of PROFILES) {
  test.serial(`the rules allow what simulated clusters do (${profile})`, async (t) => {
    t.timeout(2 * DEADLINE_MS);
    for (let seed = 1; seed <= SEEDS_PER_PROFILE; seed++) {
      const events = await traceOf(seed, profile);
      t.true(events.length > 0);
      t.is(violation(events)?.message, undefined, `seed ${seed}`);
    }
  });
}

function copyWith(
  events: readonly TraceEvent[],
  at: number,
  change: (event: TraceEvent) => TraceEvent | undefined,
): TraceEvent[] {
  const changed = change(events[at]!);
  return [
    ...events.slice(0, at),
    ...(changed === undefined ? [] : [changed]),
    ...events.slice(at + 1),
  ];
}

const TRANSITIONS = [
  'BecomeCandidate',
  'BecomeFollower',
  'BecomeLeader',
  'Replicate',
  'Commit',
  'ApplyConfChange',
];

for (const name of TRANSITIONS) {
  test(`a trace without one ${name} is refused`, async (t) => {
    const events = await SOUND;
    const all = events.flatMap((event, i) => (event.name === name ? [i] : []));
    t.true(all.length > 3, `only ${all.length}`);
    for (const at of [all[0]!, all[all.length >> 1]!, all.at(-2)!]) {
      const found = violation(copyWith(events, at, () => undefined));
      t.true(found !== undefined && found.line > at, `without event ${at + 1}: ${found?.message}`);
    }
  });
}

test('a message that was not sent cannot be received', async (t) => {
  const events = await SOUND;
  const at = events.findIndex(({ name }) => name === 'ReceiveAppendEntriesRequest');
  const told = JSON.stringify(events[at]!.msg);
  const without = events.filter((event) => {
    return !event.name.startsWith('Send') || JSON.stringify(event.msg) !== told;
  });
  t.regex(violation(without)!.message, /ReceiveAppendEntriesRequest .*nobody sent/);
});

interface Mutation {
  readonly what: string;
  readonly of: (event: TraceEvent) => boolean;
  readonly change: (event: TraceEvent) => TraceEvent;
  readonly why: RegExp;
}

const withState = (event: TraceEvent, state: Partial<TraceEvent['state']>): TraceEvent => ({
  ...event,
  state: { ...event.state, ...state },
});
const withMessage = (event: TraceEvent, msg: Partial<TraceEvent['msg']>): TraceEvent => ({
  ...event,
  msg: { ...event.msg!, ...msg },
});
const is =
  (name: string, type?: string) =>
  ({ name: found, msg }: TraceEvent) =>
    found === name && (type === undefined || msg?.type === type);

const MUTATIONS: readonly Mutation[] = [
  {
    what: 'a term that falls',
    of: is('Ready'),
    change: (event) => withState(event, { term: event.state.term - 1 }),
    why: /term/,
  },
  {
    what: "a leader's commit beyond what a quorum has",
    of: (event) => event.name === 'Commit' && event.role === 'StateLeader',
    change: (event) => withState(event, { commit: event.log + 1 }),
    why: /commit/,
  },
  {
    what: "a follower's commit beyond what its leader announced",
    of: (event) => event.name === 'Commit' && event.role === 'StateFollower',
    change: (event) => withState(event, { commit: event.state.commit + 1 }),
    why: /makes it .*commit/,
  },
  {
    what: 'a vote that was not given',
    of: (event) => event.name === 'SendRequestVoteResponse' && event.msg!.reject,
    change: (event) => withMessage(event, { reject: false }),
    why: /it voted for/,
  },
  {
    what: 'a second vote in a term',
    of: (event) => event.name === 'Ready' && event.state.vote !== '0',
    change: (event) => withState(event, { vote: '99' }),
    why: /vote 99/,
  },
  {
    what: 'an acknowledgement of more than there is',
    of: (event) => is('SendAppendEntriesResponse', 'MsgAppResp')(event) && event.msg!.index > 0,
    change: (event) => withMessage(event, { index: event.msg!.index + 1, reject: false }),
    why: /gave it entries up to/,
  },
  {
    what: 'entries that the leader does not have',
    of: (event) => is('SendAppendEntriesRequest', 'MsgApp')(event) && event.msg!.entries > 0,
    change: (event) => withMessage(event, { entries: event.msg!.entries + 1 }),
    why: /its log ends at/,
  },
  {
    what: 'an entry before them of another term',
    of: (event) => is('SendAppendEntriesRequest', 'MsgApp')(event) && event.msg!.entries > 0,
    change: (event) => withMessage(event, { logTerm: event.msg!.logTerm + 1 }),
    why: /its entry \d+ has term/,
  },
  {
    what: 'a message of a term that its sender is not in',
    of: is('SendAppendEntriesRequest', 'MsgHeartbeat'),
    change: (event) => withMessage(event, { term: event.msg!.term + 1 }),
    why: /it is in term/,
  },
  {
    what: 'a heartbeat with the whole commit',
    of: (event) =>
      is('SendAppendEntriesRequest', 'MsgHeartbeat')(event) &&
      event.msg!.index < event.state.commit,
    change: (event) => withMessage(event, { commit: event.state.commit }),
    why: /is known to have/,
  },
  {
    what: 'entries applied that are not committed',
    of: is('Ready'),
    change: (event) => withState(event, { applied: event.state.commit + 1 }),
    why: /beyond its commit/,
  },
  {
    what: 'a log that shrinks',
    of: (event) => event.name === 'Ready' && event.log > 1,
    change: (event) => ({ ...event, log: event.log - 1 }),
    why: /log/,
  },
  {
    what: 'a configuration that nobody applied',
    of: is('Ready'),
    change: (event) => ({ ...event, conf: [[...event.conf[0], '77'], event.conf[1]] }),
    why: /which it did not apply/,
  },
  {
    what: 'two more voters by one change that is not joint',
    of: (event) => event.name === 'ApplyConfChange' && event.conf[1].length === 0,
    change: (event) => ({ ...event, conf: [[...event.conf[0], '77', '78'], []] }),
    why: /no one change leads|others with/,
  },
  {
    what: 'a start without the promised term',
    of: (event) => event.name === 'InitState' && event.state.term > 1,
    change: (event) => withState(event, { term: event.state.term - 1 }),
    why: /it had answered in term|it had voted|entries|term/,
  },
  {
    what: 'a start with a shorter log than was acknowledged',
    of: (event) => event.name === 'InitState' && event.log > 5,
    change: (event) => ({
      ...event,
      log: 1,
      state: { ...event.state, commit: 0, applied: 0 },
      prop: { terms: { start: { index: 0, term: 0 }, runs: [[1, 1]], last: 1 } },
    }),
    why: /it had acknowledged entry/,
  },
];

for (const { what, of, change, why } of MUTATIONS) {
  test(`the checker detects ${what}`, async (t) => {
    const events = await SOUND;
    // The last one, because there is most to contradict it.
    const at = events.findLastIndex(of);
    t.true(at >= 0, 'there is no such event in the trace');
    const found = violation(copyWith(events, at, change));
    t.is(found?.line, at + 1, found?.message ?? 'nothing is detected');
    t.regex(found!.message, why);
  });
}

test('two leaders of one term are detected', async (t) => {
  const events = await SOUND;
  const at = events.findLastIndex(({ name }) => name === 'BecomeLeader');
  const { nid, state } = events[at]!;
  // Another member with an election under way in the same term wins it too.
  const other = [...events[at]!.conf[0]].find((id) => id !== nid)!;
  const init = events.find((event) => event.nid === other)!;
  const stolen = events.slice(0, at + 1);
  const checker = new TraceChecker();
  for (const event of stolen) checker.check(event);
  const error = t.throws(
    () => checker.check({ ...init, name: 'BecomeLeader', role: 'StateLeader', state }),
    { instanceOf: TraceViolation },
  );
  t.is(error.event.nid, other);
});

test('traces of single members are merged into a possible order', async (t) => {
  const events = await SOUND;
  const ids = [...new Set(events.map(({ nid }) => nid))];
  const apart = ids.map((id) => events.filter(({ nid }) => nid === id));
  const merged = mergeTraces(apart);
  t.is(merged.length, events.length);
  t.is(violation(merged)?.message, undefined);
  t.throws(() => mergeTraces(apart.slice(1)), { message: /no trace says how it came to be/ });
});

test('scripts/check-trace reads files, one for all or one each, and says what is wrong', async (t) => {
  const program = fileURLToPath(new URL('main.js', import.meta.resolve('@swarm/raft/trace-check')));
  const folder = await mkdtemp(join(tmpdir(), 'raft-trace-'));
  const run = (...paths: string[]) =>
    promisify(execFile)(process.execPath, [program, ...paths], { timeout: DEADLINE_MS });
  const save = async (name: string, events: readonly TraceEvent[]) => {
    const path = join(folder, name);
    await writeFile(path, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
    return path;
  };
  try {
    const events = await SOUND;
    const whole = await save('all', events);
    const ids = [...new Set(events.map(({ nid }) => nid))];
    const parts = await Promise.all(
      ids.map((id) =>
        save(
          id,
          events.filter(({ nid }) => nid === id),
        ),
      ),
    );
    t.is((await run(whole)).stdout, `${events.length} events, all allowed by the rules\n`);
    t.is((await run(...parts)).stdout, `${events.length} events, all allowed by the rules\n`);
    const at = events.findLastIndex(({ name }) => name === 'Commit');
    const mutated = await save(
      'mutated',
      copyWith(events, at, (event) => withState(event, { term: 0 })),
    );
    const error = await t.throwsAsync<Error & { code: number; stderr: string }>(run(mutated));
    t.is(error.code, 1);
    t.true(error.stderr.startsWith(`event ${at + 1}, Commit of member `), error.stderr);
  } finally {
    await rm(folder, { recursive: true });
  }
});

/**
 * One trace for everything the tests do to it: elections, crashes, membership changes, snapshots.
 */
const SOUND = soundTrace();

/** The first trace that has everything that the tests above leave out or change. */
async function soundTrace(): Promise<TraceEvent[]> {
  for (let seed = 1; seed <= SEEDS_FOR_ALL; seed++) {
    const events = await traceOf(seed, 'membership');
    const isLong = TRANSITIONS.every((name) => events.filter(is(name)).length > 3);
    if (isLong && MUTATIONS.every(({ of }) => events.some(of))) return events;
  }
  throw new Error(`none of ${SEEDS_FOR_ALL} seeds has all that the tests need`);
}
