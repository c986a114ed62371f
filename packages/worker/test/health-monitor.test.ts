import { type HealthConfig, SECOND } from '@swarm/api';
import test from 'ava';
import { HealthMonitor } from '../src/runtime/health-monitor.js';
import { VirtualClock } from '@swarm/sim';

/** A monitor whose check answers what `healthy` says; events in order, and when checks ran. */
function watch(config: HealthConfig) {
  const clock = new VirtualClock();
  const startMs = clock.now();
  const seen: string[] = [];
  const checks: number[] = [];
  const state = { healthy: true };
  const monitor = new HealthMonitor(
    { Test: ['CMD', 'check'], ...config },
    async () => {
      checks.push(clock.now() - startMs);
      return { healthy: state.healthy, output: 'said' };
    },
    {
      healthy: () => seen.push('healthy'),
      unhealthy: (message) => seen.push(message),
      waiting: (message) => seen.push(message),
    },
    clock,
  );
  return { clock, seen, checks, state, monitor };
}

test("The first check comes after the interval, Docker's 30 s when none is given", async (t) => {
  const { clock, seen, checks } = watch({});
  await clock.advance(29_999);
  t.deepEqual(checks, []);
  await clock.advance(1);
  t.deepEqual(seen, ['healthy']);
  await clock.advance(60_000);
  t.deepEqual(checks, [30_000, 60_000, 90_000]);
  t.deepEqual(seen, ['healthy'], 'it is told once');
});

test('It is unhealthy after the retries in a row, told once, and not checked any more', async (t) => {
  const { clock, seen, checks, state } = watch({ Interval: SECOND, Retries: 3 });
  await clock.advance(1_000);
  state.healthy = false;
  await clock.advance(2_000);
  state.healthy = true;
  await clock.advance(1_000);
  state.healthy = false;
  await clock.advance(2_000);
  t.deepEqual(seen, ['healthy']);
  await clock.advance(60_000);
  t.is(seen.length, 2);
  t.regex(seen[1] ?? '', /^unhealthy: .*3 times in a row, it printed: said$/);
  t.is(checks.length, 7);
});

test('Failures of the start period do not count, a success ends it', async (t) => {
  const { clock, seen, state } = watch({
    Interval: 2 * SECOND,
    StartPeriod: 60 * SECOND,
    StartInterval: SECOND,
    Retries: 1,
  });
  state.healthy = false;
  await clock.advance(30_000);
  t.true(seen.every((message) => message.startsWith('waiting for the health check')));
  t.is(seen.length, 30, 'at the start interval');
  state.healthy = true;
  await clock.advance(1_000);
  t.is(seen.at(-1), 'healthy');
  state.healthy = false;
  await clock.advance(2_000);
  t.regex(seen.at(-1) ?? '', /^unhealthy/);
});

test('After the start period failures count', async (t) => {
  const { clock, seen, state } = watch({
    Interval: SECOND,
    StartPeriod: 3 * SECOND,
    StartInterval: SECOND,
    Retries: 2,
  });
  state.healthy = false;
  await clock.advance(3_999);
  t.false(seen.some((message) => message.startsWith('unhealthy')));
  await clock.advance(1);
  t.regex(seen.at(-1) ?? '', /^unhealthy/);
});

test('A closed monitor checks nothing', async (t) => {
  const { clock, checks, monitor } = watch({ Interval: SECOND });
  monitor.close();
  await clock.advance(10_000);
  t.deepEqual(checks, []);
});
