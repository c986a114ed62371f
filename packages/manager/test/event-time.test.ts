import { momentOf } from '@swarm/http';
import test from 'ava';
import { timeMs } from '../src/api/event-feed.js';

test('an event of the very millisecond that a request names is neither before nor after it', (t) => {
  const first = Date.UTC(2026, 10, 30, 12);
  for (let ms = first; ms < first + 2_000; ms += 1) {
    const moment = momentOf(new URLSearchParams({ until: String(ms / 1000) }), 'until');
    if (timeMs({ timeNano: ms * 1e6 }) !== moment) t.fail(`${ms}`);
  }
  t.pass();
});
