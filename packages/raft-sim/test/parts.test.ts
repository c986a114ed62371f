import { EMPTY_CONF } from '@swarm/raft/internals';
import { type Entry, EntryKind } from '@swarm/raft';
import {
  encodeCommand,
  History,
  type Operation,
  OpKind,
  Prng,
  ratio,
  SimProcess,
  Violation,
  VirtualClock,
} from '@swarm/sim';
import { DurableLog } from '../src/durable-log.js';
import { checkLogOrder } from '../src/log-order.js';
import test from 'ava';

function drain(scheduler: VirtualClock): void {
  for (let event = scheduler.next(); event !== undefined; event = scheduler.next()) event.run();
}

test('the same seed and stream draw the same numbers, others do not', (t) => {
  const draw = (seed: number, stream: string) => {
    const prng = new Prng(seed, stream);
    return Array.from({ length: 8 }, () => prng.u32());
  };
  t.deepEqual(draw(7, 'a'), draw(7, 'a'));
  t.notDeepEqual(draw(7, 'a'), draw(8, 'a'));
  t.notDeepEqual(draw(7, 'a'), draw(7, 'b'));
  t.notDeepEqual(draw(7, 'a'), draw(7 + 2 ** 32, 'a'));
});

test('probabilities come true about as often as they say', (t) => {
  const prng = new Prng(1, 'chance');
  let hits = 0;
  for (let i = 0; i < 10_000; i++) if (prng.chance(ratio(3, 10))) hits++;
  t.true(hits > 2_800 && hits < 3_200, String(hits));
  t.deepEqual([...prng.shuffle([1, 2, 3, 4])].sort(), [1, 2, 3, 4]);
});

test('events happen in order of time, then in the order they were scheduled', (t) => {
  const scheduler = new VirtualClock();
  const seen: string[] = [];
  const prng = new Prng(3, 'times');
  const times = Array.from({ length: 200 }, () => prng.below(50));
  for (const [i, time] of times.entries()) {
    scheduler.after(time, () => seen.push(`${String(time).padStart(2, '0')}-${1000 + i}`));
  }
  scheduler.after(60, () => seen.push('never')).cancelled = true;
  drain(scheduler);
  t.is(seen.length, 200);
  t.deepEqual(seen, [...seen].sort());
});

test('a paused process does everything later, expired timers first; a dead one nothing', (t) => {
  const scheduler = new VirtualClock();
  const process = new SimProcess(scheduler, 0, () => undefined);
  const seen: string[] = [];
  process.after(1_000, () => seen.push('message'));
  process.setTimeout(() => seen.push('timer'), 2);
  process.pause();
  scheduler.after(5_000, () => process.resume());
  drain(scheduler);
  t.deepEqual(seen, ['timer', 'message']);
  process.after(1, () => seen.push('ghost'));
  process.kill();
  drain(scheduler);
  t.deepEqual(seen, ['timer', 'message']);
});

test('a fast clock runs fast, jumps, and never goes back', (t) => {
  const scheduler = new VirtualClock();
  const process = new SimProcess(scheduler, 100_000, () => undefined);
  scheduler.after(1_000_000, () => undefined);
  drain(scheduler);
  t.is(Math.round(process.now()), 1_100);
  process.jump(500);
  t.is(Math.round(process.now()), 1_600);
  process.driftPpm = -100_000;
  t.is(Math.round(process.now()), 1_600);
});

test('a log that returns less than it acknowledged is caught', (t) => {
  const entry = (index: number, term: number): Entry => ({
    index,
    term,
    kind: EntryKind.Normal,
    data: new Uint8Array(),
  });
  const hardState = { term: 2, vote: 1, commit: 0 };
  const make = () => {
    const log = new DurableLog();
    const first = { hardState, entries: [entry(1, 1), entry(2, 2)], mustSync: true };
    log.begun(first);
    log.acknowledged(first);
    log.begun({ entries: [entry(2, 3)], hardState: { ...hardState, term: 3 }, mustSync: true });
    return log;
  };
  const found = (entries: Entry[], state = hardState) => ({
    hardState: state,
    snapshot: { index: 0, term: 0, conf: EMPTY_CONF, members: [], removed: [] },
    entries,
    firstIndex: 1,
  });
  t.notThrows(() => make().recovered(found([entry(1, 1), entry(2, 2)])));
  t.notThrows(() => make().recovered(found([entry(1, 1), entry(2, 3)], { ...hardState, term: 3 })));
  const wrong = [
    found([entry(1, 1)]),
    found([entry(1, 1), entry(2, 3)]),
    found([entry(1, 1), entry(2, 2)], { ...hardState, vote: 2 }),
  ];
  for (const recovered of wrong) {
    t.throws(() => make().recovered(recovered), { instanceOf: Violation });
  }
});

test('the order of the log betrays lost, stale and wrong answers', (t) => {
  const run = (answer: (history: History, write: Operation, read: Operation) => void) => {
    const history = new History();
    const fields = { client: 1, key: 0, expected: 0 };
    const write = history.invoke({ ...fields, kind: OpKind.Write, value: 5 });
    const data = encodeCommand({ ...fields, id: write.id, kind: OpKind.Write, value: 5 }, 3);
    const committed = [undefined, { index: 1, term: 1, kind: EntryKind.Normal, data }];
    history.done(write, { before: 0, succeeded: true, index: 1 });
    const read = history.invoke({ ...fields, kind: OpKind.Read, value: 0 });
    history.done(read, { before: 5, succeeded: false, index: 1 });
    answer(history, write, read);
    return () => checkLogOrder(history.operations, committed);
  };
  t.notThrows(run(() => undefined));
  t.throws(
    run((_history, write) => {
      write.index = 2;
    }),
    { message: /acknowledged write lost/ },
  );
  t.throws(
    run((_history, _write, read) => Object.assign(read, { before: 0, index: 0 })),
    { message: /saw the log up to 0/ },
  );
  t.throws(
    run((_history, _write, read) => {
      read.before = 4;
    }),
    { message: /gave 4 at 1, not 5/ },
  );
});
