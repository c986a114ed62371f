import test from 'ava';
import { SteadyTime } from '../src/store/steady-time.js';
import { nodeDraft, patch, put } from './support/objects.js';
import { createTestStore } from './support/test-store.js';
import { SettableClock } from './support/settable-clock.js';

test('it follows the wall clock, even when that leaps ahead', async (t) => {
  const clock = new SettableClock();
  const time = new SteadyTime(clock);
  t.is(time.now(), clock.now());
  await clock.advance(1234);
  t.is(time.now(), clock.now());
  clock.offsetMs = 3_600_000;
  t.is(time.now(), clock.now());
});

test('when the wall clock is set back, it runs at half speed until that has caught up', async (t) => {
  const clock = new SettableClock();
  const time = new SteadyTime(clock);
  const start = time.now();
  clock.offsetMs = -60_000;
  t.is(time.now(), start);
  await clock.advance(10_000);
  t.is(time.now(), start + 5_000);
  await clock.advance(110_000);
  t.is(time.now(), clock.now());
  await clock.advance(1000);
  t.is(time.now(), clock.now());
});

test('a leader whose clock is behind stamps nothing earlier than the one before it', async (t) => {
  const clock = new SettableClock();
  const store = createTestStore({ clock });
  const first = await put(store, 'node', nodeDraft('n1'));
  clock.offsetMs = -3_600_000;
  const second = await put(store, 'node', nodeDraft('n2'));
  t.true(second.CreatedAt >= first.CreatedAt);
  await clock.advance(1000);
  const changed = await patch(store, 'node', 'n1', (node) => node);
  t.true(changed.UpdatedAt > first.UpdatedAt);
  t.is(changed.CreatedAt, first.CreatedAt);
});
