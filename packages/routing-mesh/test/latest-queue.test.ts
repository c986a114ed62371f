import test from 'ava';
import { LatestQueue } from '../src/latest-queue.js';

test('only the newest waiting value runs, and all callers resolve with it', async (t) => {
  const done: number[] = [];
  let release = (): void => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const queue = new LatestQueue<number>(async (value) => {
    if (value === 1) await gate;
    done.push(value);
  });
  const calls = [queue.push(1)];
  await Promise.resolve();
  await Promise.resolve();
  calls.push(queue.push(2), queue.push(3), queue.push(4));
  release();
  await Promise.all(calls);
  t.deepEqual(done, [1, 4]);
});

test('a failure reaches those who wait for it, and the next is done', async (t) => {
  const queue = new LatestQueue<number>(async (value) => {
    if (value < 0) throw new Error('negative');
  });
  await t.throwsAsync(queue.push(-1), { message: 'negative' });
  await t.notThrowsAsync(queue.push(1));
  await t.notThrowsAsync(queue.idle());
});
