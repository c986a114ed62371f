import test from 'ava';
import { SerialQueue } from '../src/serial-queue.js';

test('jobs run one after the other, also past a failure', async (t) => {
  const queue = new SerialQueue();
  const order: string[] = [];
  const first = queue.run(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    order.push('first');
    throw new Error('no');
  });
  const second = queue.run(async () => void order.push('second'));
  await t.throwsAsync(first);
  await second;
  t.deepEqual(order, ['first', 'second']);
});

test('idle waits for all jobs so far and does not fail with them', async (t) => {
  const queue = new SerialQueue();
  let done = 0;
  const failed = queue.run(async () => {
    throw new Error('no');
  });
  const second = queue.run(async () => {
    await new Promise((resolve) => setImmediate(resolve));
    done += 1;
  });
  await Promise.all([t.throwsAsync(failed), queue.idle()]);
  t.is(done, 1);
  await second;
});
