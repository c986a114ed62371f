import test from 'ava';
import { VirtualClock } from '../src/time/virtual-clock.js';

const DAY_MS = 86_400_000;

test('time passes only when told to, and timers run in order', async (t) => {
  const clock = new VirtualClock(1_000);
  const seen: string[] = [];
  clock.setTimeout(() => seen.push(`b at ${clock.now()}`), 20);
  clock.setTimeout(() => {
    seen.push(`a at ${clock.now()}`);
    clock.setTimeout(() => seen.push(`c at ${clock.now()}`), 15);
  }, 10);
  clock.clearTimeout(clock.setTimeout(() => seen.push('never'), 5));
  await clock.settle();
  t.deepEqual(seen, []);
  t.is(clock.pending, 2);
  await clock.advance(25);
  t.deepEqual(seen, ['a at 1010', 'b at 1020', 'c at 1025']);
  t.is(clock.monotonicMs(), 25);
});

test('a timer may be further away than the library reaches', async (t) => {
  const clock = new VirtualClock();
  let at = 0;
  clock.setTimeout(() => {
    at = clock.now();
  }, 90 * DAY_MS);
  await clock.advance(90 * DAY_MS - 1);
  t.is(at, 0);
  await clock.advance(1);
  t.is(at, 90 * DAY_MS);
});

test('after a stall overdue timers run late, and time does not go back', async (t) => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  clock.setTimeout(() => seen.push(clock.now()), 10);
  clock.stall(50);
  await clock.settle();
  t.deepEqual(seen, [50]);
});
