import test from 'ava';
import { Inflights } from '../../src/core/inflights.js';

test('a window is full at its number of messages and has room again as they are answered', (t) => {
  const window = new Inflights(20, 1_000_000);
  for (let i = 1; i <= 20; i++) {
    t.false(window.full);
    window.add(i * 10, 1);
  }
  t.true(window.full);
  window.freeTo(55);
  t.is(window.length, 15);
  for (let i = 21; i <= 25; i++) window.add(i * 10, 1);
  t.true(window.full);
  window.freeTo(250);
  t.is(window.length, 0);
});

test('a window is full at its bytes, and the message that crosses the limit passes', (t) => {
  const window = new Inflights(100, 10);
  window.add(1, 6);
  t.false(window.full);
  window.add(2, 6);
  t.true(window.full);
  window.freeTo(1);
  t.false(window.full);
  window.reset();
  window.add(3, 10);
  t.true(window.full);
});

test('a full window refuses to send more', (t) => {
  const window = new Inflights(1, 10);
  window.add(1, 1);
  t.throws(() => window.add(2, 1), { message: /full window/ });
});
