import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { Isolation } from '../src/agent/isolation.js';
import { ISOLATED_AFTER_MS } from '../src/agent/limits.js';

const START_MS = Date.UTC(2026, 0, 1);

function ask(isolation: Isolation) {
  const answers: string[] = [];
  void isolation.verdict(0, new AbortController().signal).then((verdict) => answers.push(verdict));
  return answers;
}

test('a node that reaches no manager restarts its tasks itself', async (t) => {
  const clock = new VirtualClock(START_MS);
  const answers = ask(new Isolation(clock));
  await clock.advance(ISOLATED_AFTER_MS - 1);
  t.deepEqual(answers, []);
  await clock.advance(1);
  t.deepEqual(answers, ['isolated']);
});

test('a node that another daemon runs as restarts none, until it has a session', async (t) => {
  const clock = new VirtualClock(START_MS);
  const isolation = new Isolation(clock);
  const before = ask(isolation);
  isolation.forbid();
  const after = ask(isolation);
  await clock.advance(100 * ISOLATED_AFTER_MS);
  t.deepEqual([...before, ...after], []);
  isolation.setConnected(true);
  await clock.settle();
  t.deepEqual([...before, ...after], ['connected', 'connected']);
  isolation.setConnected(false);
  const later = ask(isolation);
  await clock.advance(ISOLATED_AFTER_MS);
  t.deepEqual(later, ['isolated']);
});
