import { TASK_UIDS } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { TaskUids } from '../src/runtime/process/task-uids.js';
import { makeFolder } from './support/real.js';

const NOBODY = { passwd: '', group: '', subuid: '', subgid: '' };
const SIZE = TASK_UIDS.last - TASK_UIDS.first + 1;

/** Draws these numbers of the range, one after the other. */
function draws(...offsets: number[]): () => number {
  let at = 0;
  return () => (offsets[at++ % offsets.length]! + 0.5) / SIZE;
}

function claims(t: ExecutionContext): string {
  const folder = makeFolder();
  t.teardown(() => folder.remove());
  return folder.path;
}

test('A number belongs to one task at a time, even with several daemons on the host', (t) => {
  const folder = claims(t);
  const one = new TaskUids(draws(5, 5, 6), folder);
  const other = new TaskUids(draws(5, 6, 7), folder);
  t.is(one.take(NOBODY), TASK_UIDS.first + 5);
  t.is(one.take(NOBODY), TASK_UIDS.first + 6);
  t.is(other.take(NOBODY), TASK_UIDS.first + 7);
  one.release(TASK_UIDS.first + 5);
  t.is(other.take(NOBODY), TASK_UIDS.first + 5);
});

test('A number that an account, a group or a range for containers has is left alone', (t) => {
  const first = TASK_UIDS.first;
  const taken = {
    passwd: `a:x:${first}:5::/:/bin/sh\n`,
    group: `b:x:${first + 1}:\n`,
    subuid: `c:${first + 2}:10\n`,
    subgid: `d:${first + 12}:1\n`,
  };
  const uids = new TaskUids(draws(0, 1, 2, 11, 12, 13), claims(t));
  t.is(uids.take(taken), first + 13);
});

test('A host without a free number gets an error that says so', (t) => {
  const uids = new TaskUids(draws(0), claims(t));
  uids.take(NOBODY);
  t.throws(() => uids.take(NOBODY), { message: /no free user number/ });
});

test('The number of a task that was left is kept for it', (t) => {
  const folder = claims(t);
  const uids = new TaskUids(draws(0, 1), folder);
  uids.keep(TASK_UIDS.first);
  t.is(uids.take(NOBODY), TASK_UIDS.first + 1);
});
