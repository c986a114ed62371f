import test from 'ava';
import { RECONNECT_MS, REDIRECTS_LIMIT, UNREACHED_RECONNECT_MS } from '../src/agent/limits.js';
import { ManagerFinder } from '../src/agent/manager-finder.js';

const M1 = { nodeId: 'm1', address: 'm1:2377' };
const M2 = { nodeId: 'm2', address: 'm2:2377' };
const M3 = { nodeId: 'm3', address: 'm3:2377' };

test('Every manager is tried before one is tried again', (t) => {
  const finder = new ManagerFinder([M1, M2, M3], Math.random);
  for (let round = 0; round < 5; round += 1) {
    const tried = [finder.next(), finder.next(), finder.next()].map((m) => m?.nodeId);
    t.deepEqual(tried.sort(), ['m1', 'm2', 'm3']);
  }
});

test('The leader that was named is tried at once, and not again in the round', (t) => {
  const finder = new ManagerFinder([M1, M2, M3], () => 0);
  finder.next();
  finder.redirected(M3);
  t.is(finder.delayMs(), 0);
  t.is(finder.next(), M3);
  finder.failed();
  t.not(finder.next(), M3);
});

test('A manager that somebody names is tried before those known longer', (t) => {
  const finder = new ManagerFinder([M1, M2, M3], () => 0.999999);
  finder.failed();
  finder.next();
  finder.hurry(M3);
  t.is(finder.next(), M3);
  // The network changes once more before the next attempt.
  finder.hurry(M2);
  finder.hurry();
  t.is(finder.next(), M2);
});

test('A leader that fell silent is tried last, and again when another manager names it', (t) => {
  for (let at = 0; at < 10; at += 1) {
    const finder = new ManagerFinder([M1, M2, M3], Math.random);
    finder.succeeded(M1);
    finder.failed(M1);
    const tried = [finder.next(), finder.next(), finder.next()];
    t.is(tried[2], M1);
    finder.redirected(M1);
    t.is(finder.next(), M1);
  }
});

test('A node whose packets reach nobody tries again sooner', (t) => {
  const finder = new ManagerFinder([M1, M2], () => 0.999999);
  for (let at = 0; at < 8; at += 1) finder.failed(M1, true);
  t.is(Math.round(finder.delayMs()), UNREACHED_RECONNECT_MS.maxMs);
  finder.failed(M1);
  t.is(Math.round(finder.delayMs()), RECONNECT_MS.maxMs);
});

test('Managers that redirect to each other are retried with pauses', (t) => {
  const finder = new ManagerFinder([M1, M2], () => 0);
  for (let at = 0; at < REDIRECTS_LIMIT; at += 1) finder.redirected(M1);
  t.is(finder.delayMs(), 0);
  finder.redirected(M2);
  t.true(finder.delayMs() > 0);
});

test('Pauses double up to a limit, with jitter, and start over after success', (t) => {
  const finder = new ManagerFinder([M1], () => 0.999999);
  const pauses: number[] = [];
  for (let at = 0; at < 8; at += 1) {
    finder.failed();
    pauses.push(Math.round(finder.delayMs()));
  }
  t.deepEqual(pauses.slice(0, 3), [
    RECONNECT_MS.minMs,
    2 * RECONNECT_MS.minMs,
    4 * RECONNECT_MS.minMs,
  ]);
  t.is(pauses.at(-1), RECONNECT_MS.maxMs);
  const low = new ManagerFinder([M1], () => 0);
  low.failed();
  t.is(low.delayMs(), RECONNECT_MS.minMs / 2);
  finder.succeeded(M1);
  finder.failed();
  t.is(Math.round(finder.delayMs()), RECONNECT_MS.minMs);
});

test('learn reports whether the list changed; an empty one changes nothing', (t) => {
  const finder = new ManagerFinder([M1, M2], () => 0);
  t.false(finder.learn([M2, M1]));
  t.false(finder.learn([]));
  t.true(finder.learn([M1, M3]));
  t.deepEqual(finder.managers, [M1, M3]);
});
