import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { LOG_BURST_MS, LOG_RATE_BYTES } from '../src/agent/limits.js';
import { LogPace } from '../src/agent/log-pace.js';

test('however fast tasks write, a session sends its logs at a bounded rate', async (t) => {
  const clock = new VirtualClock(0);
  const pace = new LogPace(clock);
  let sent = 0;
  let done = false;
  const flood = async () => {
    while (!done) {
      await pace.take(64 * 1024);
      sent += 64 * 1024;
    }
  };
  for (let readers = 0; readers < 10; readers += 1) void flood();
  await clock.advance(10_000);
  done = true;
  const burst = (LOG_BURST_MS / 1000) * LOG_RATE_BYTES;
  t.true(sent <= 10 * LOG_RATE_BYTES + burst, `${sent} bytes`);
  t.true(sent >= 9.9 * LOG_RATE_BYTES);
  await clock.advance(1_000);
});

test('below the rate, nothing waits', async (t) => {
  const clock = new VirtualClock(0);
  const pace = new LogPace(clock);
  for (let second = 0; second < 10; second += 1) {
    const before = clock.monotonicMs();
    for (let count = 0; count < 16; count += 1) await pace.take(64 * 1024);
    t.is(clock.monotonicMs(), before);
    await clock.advance(1_000);
  }
});
