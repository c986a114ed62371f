import test from 'ava';
import { FAILURES_LIMIT, FAILURES_WINDOW_MS, NodeInfo } from '../src/scheduler/node-info.js';
import { nodeDraft } from './support/objects.js';

const VERSION = { Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };

test('failures of services that nobody asks about any more are forgotten', (t) => {
  const info = new NodeInfo({ ...nodeDraft('n1'), ...VERSION });
  for (let number = 0; number < 1000; number += 1) info.failed(`gone${number}/1`, number);
  info.failed('again/1', 0);
  t.is(info.failing, 1001);
  info.failed('again/1', FAILURES_WINDOW_MS + 1000);
  t.is(info.failing, 1);
});

test('failures count while they are within the window and not below the limit', (t) => {
  const info = new NodeInfo({ ...nodeDraft('n1'), ...VERSION });
  for (let number = 1; number < FAILURES_LIMIT; number += 1) info.failed('web/1', number);
  t.is(info.recentFailures('web/1', 10), 0);
  info.failed('other/1', 10);
  info.failed('web/1', 11);
  t.is(info.recentFailures('web/1', 20), FAILURES_LIMIT);
  t.is(info.recentFailures('web/1', FAILURES_WINDOW_MS + 20), 0);
});
