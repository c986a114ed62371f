import type { Task, TaskState } from '@swarm/api';
import test from 'ava';
import { reasonOf } from '../src/output/task-reason.js';

function reason(DesiredState: TaskState, Status: Partial<Task['Status']>): string {
  const status = { Timestamp: '2026-01-01T00:00:00Z', State: 'running', Message: 'MESSAGE' };
  return reasonOf({ DesiredState, Status: { ...status, ...Status } } as Task);
}

test('a task in any state but the wished one says why', (t) => {
  const waiting: TaskState[] = [
    'new',
    'pending',
    'assigned',
    'accepted',
    'preparing',
    'ready',
    'starting',
  ];
  for (const State of waiting) t.is(reason('running', { State }), 'MESSAGE');
  t.is(reason('running', { State: 'pending', Err: 'no suitable node' }), 'no suitable node');
  t.is(reason('shutdown', { State: 'failed', Err: 'exit code 3: gone' }), 'exit code 3: gone');
  t.is(reason('shutdown', { State: 'shutdown' }), 'MESSAGE');
  t.is(reason('shutdown', { State: 'shutdown', Err: 'no suitable node' }), 'MESSAGE');
  t.is(reason('shutdown', { State: 'running' }), 'MESSAGE', 'it still has to stop');
  t.is(reason('running', { Ready: false }), 'MESSAGE', 'it gets no traffic');
  t.is(reason('shutdown', { State: 'orphaned' }), 'MESSAGE');
});

test('a task that runs and serves, or ended well, says nothing', (t) => {
  t.is(reason('running', {}), '');
  t.is(reason('running', { Ready: true }), '');
  t.is(reason('complete', {}), '');
  t.is(reason('shutdown', { State: 'complete' }), '');
  t.is(reason('complete', { State: 'complete' }), '');
});
