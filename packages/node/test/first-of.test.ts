import { ApiError } from '@swarm/api';
import test from 'ava';
import { firstOf } from '../src/membership/first-of.js';

test('managers are asked one after the other until one answers', async (t) => {
  const asked: string[] = [];
  const answer = await firstOf(['a', 'b', 'c'], async (address) => {
    asked.push(address);
    if (address === 'a') throw new Error('unreachable');
    return address;
  });
  t.is(answer, 'b');
  t.deepEqual(asked, ['a', 'b']);
});

test('an answer that every manager would give ends the search, and so does an abort', async (t) => {
  let asked = 0;
  const refuse = async () => {
    asked += 1;
    throw new ApiError('INVALID_TOKEN', 'wrong');
  };
  await t.throwsAsync(firstOf(['a', 'b'], refuse), { message: 'wrong' });
  t.is(asked, 1);
  const signal = AbortSignal.abort();
  const fail = async () => {
    asked += 1;
    throw new Error('unreachable');
  };
  await t.throwsAsync(firstOf(['a', 'b'], fail, signal), { message: 'unreachable' });
  t.is(asked, 2);
  await t.throwsAsync(firstOf([], fail), { message: /no manager to ask is known/ });
});
