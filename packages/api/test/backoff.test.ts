import test from 'ava';
import { backoffMs } from '../src/backoff.js';

const LIMITS = { minMs: 50, maxMs: 300 };

test('pauses double from the first up to the longest', (t) => {
  const pauses = [0, 1, 2, 3, 4, 5, 5000].map((failures) => backoffMs(failures, LIMITS));
  t.deepEqual(pauses, [0, 50, 100, 200, 300, 300, 300]);
});

test('chance shortens a pause by up to half', (t) => {
  t.is(
    backoffMs(2, LIMITS, () => 0),
    50,
  );
  t.is(
    backoffMs(2, LIMITS, () => 0.5),
    75,
  );
});
