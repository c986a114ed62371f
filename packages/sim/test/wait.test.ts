import test from 'ava';
import { until } from '../src/time/wait.js';

const SOON = { deadlineMs: 20, everyMs: 1 };

test('until gives what the condition gives at last; one that throws counts as not yet', async (t) => {
  let looks = 0;
  const value = await until('three looks', () => {
    looks += 1;
    if (looks === 1) throw new Error('too early');
    return looks === 3 && `look ${looks}`;
  });
  t.is(value, 'look 3');
});

test('until names what did not come, and why', async (t) => {
  await t.throwsAsync(
    until('it comes', () => false, SOON),
    { message: 'not within 20 ms: it comes' },
  );
  const refused = async (): Promise<boolean> => {
    throw new Error('refused');
  };
  await t.throwsAsync(until('it answers', refused, SOON), {
    message: 'not within 20 ms: it answers: refused',
  });
});
