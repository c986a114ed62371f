import test from 'ava';
import { RaftFaultError } from '../src/core/assert.js';
import { Spans } from '../src/storage/spans.js';

test('a record that is cut off is no longer needed, what it kept is', (t) => {
  const spans = new Spans();
  spans.append(1, 1, 10);
  spans.append(2, 11, 20);
  spans.append(3, 8, 9);
  t.is(spans.lastIndex, 9);
  t.is(spans.firstNeeded(0), 1);
  t.is(spans.firstNeeded(6), 1);
  t.is(spans.firstNeeded(7), 3);
  t.is(spans.firstNeeded(9), undefined);
});

test('compaction in the middle of a record keeps the record', (t) => {
  const spans = new Spans();
  spans.append(1, 1, 4);
  spans.append(2, 5, 9);
  spans.compact(6);
  t.is(spans.startIndex, 6);
  t.is(spans.firstNeeded(6), 2);
  spans.append(3, 7, 7);
  t.is(spans.firstNeeded(6), 3);
  t.is(spans.lastIndex, 7);
});

test('a record that begins below the start counts from the start on', (t) => {
  const spans = new Spans();
  spans.reset(6);
  spans.append(4, 5, 9);
  t.is(spans.lastIndex, 9);
  spans.append(5, 3, 6);
  t.is(spans.lastIndex, 6);
  t.is(spans.firstNeeded(6), undefined);
});

test('holes and steps back are faults', (t) => {
  const spans = new Spans();
  spans.append(1, 1, 3);
  t.throws(() => spans.append(2, 5, 6), { instanceOf: RaftFaultError });
  t.throws(() => spans.compact(4), { instanceOf: RaftFaultError });
  spans.compact(2);
  t.throws(() => spans.compact(1), { instanceOf: RaftFaultError });
});
