import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import { STRANGER_KEPT_MS, Strangers, STRANGERS_LIMIT } from '../../src/authority/strangers.js';

const NOW = Date.parse('2026-11-01T00:00:00Z');

test('a stranger counts once, at its last address, until it has been silent for a while', async (t) => {
  const clock = new VirtualClock(NOW);
  const strangers = new Strangers(clock);
  strangers.note('a', '198.18.0.1');
  await clock.advance(STRANGER_KEPT_MS - 1);
  strangers.note('b', '198.18.0.2');
  strangers.note('b', '198.18.0.3');
  t.deepEqual(
    strangers.list().map(({ nodeId, address }) => [nodeId, address]),
    [
      ['a', '198.18.0.1'],
      ['b', '198.18.0.3'],
    ],
  );
  await clock.advance(2);
  t.deepEqual(
    strangers.list().map(({ nodeId }) => nodeId),
    ['b'],
  );
});

test('a node that left and joined again is named for a minute at most', (t) => {
  t.true(STRANGER_KEPT_MS <= 60_000);
});

test('there is room for some strangers only: the one seen longest ago is forgotten', (t) => {
  const strangers = new Strangers(new VirtualClock(NOW));
  for (let i = 0; i <= STRANGERS_LIMIT; i += 1) {
    strangers.note(`n${i}`, '198.18.0.1');
    // The first one keeps asking.
    strangers.note('n0', '198.18.0.1');
  }
  const ids = strangers.list().map(({ nodeId }) => nodeId);
  t.is(ids.length, STRANGERS_LIMIT);
  t.true(ids.includes('n0'));
  t.false(ids.includes('n1'));
});
