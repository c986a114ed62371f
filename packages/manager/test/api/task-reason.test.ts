import { isTerminal, type Node, type Task, type TaskState, type TaskStatus } from '@swarm/api';
import test from 'ava';
import { presentTask } from '../../src/api/present/task.js';
import { nodeDraft, put, taskDraft } from '../support/objects.js';
import { createTestStore, type TestStore } from '../support/test-store.js';

const AT = '2026-01-01T00:00:00.000Z';
const STATES: readonly TaskState[] = [
  ...(['new', 'pending', 'assigned', 'accepted', 'preparing', 'ready', 'starting'] as const),
  ...(['running', 'complete', 'shutdown', 'failed', 'rejected', 'orphaned'] as const),
];
const DESIRED: readonly TaskState[] = ['ready', 'running', 'complete', 'shutdown', 'remove'];
const NODES = ['ready', 'down', 'disconnected', 'unknown', 'removed'] as const;

interface Case {
  readonly state: TaskState;
  readonly desired?: TaskState;
  readonly node?: (typeof NODES)[number];
  readonly status?: Partial<TaskStatus>;
  readonly task?: Partial<Task>;
}

async function worldOf(): Promise<TestStore> {
  const store = createTestStore();
  for (const State of NODES) {
    if (State === 'removed') continue;
    const Status: Node['Status'] = { State, Addr: '' };
    const Description = { ...nodeDraft('x').Description!, Hostname: `host-${State}` };
    await put(store, 'node', nodeDraft(State, { Status, Description }));
  }
  return store;
}

/** The task as the API shows it. */
function shown(
  store: TestStore,
  { state, desired = 'running', node = 'ready', ...rest }: Case,
): Task {
  const isPlaced = !['new', 'pending'].includes(state);
  const task = {
    ...taskDraft('task'),
    ...(isPlaced && { NodeID: node }),
    DesiredState: desired,
    Status: { Timestamp: AT, State: state, Message: '', ...rest.status },
    ...rest.task,
  };
  return presentTask(store, task as Task, Date.parse(AT));
}

const errOf = (store: TestStore, given: Case) => shown(store, given).Status.Err;

test('every task that is not as it should be says why, whoever has it and whatever it reported', async (t) => {
  const store = await worldOf();
  for (const state of STATES) {
    for (const desired of DESIRED) {
      for (const node of NODES) {
        for (const Message of ['', state]) {
          const what = `${state}, desired ${desired}, node ${node}, message '${Message}'`;
          const given = { state, desired, node, status: { Message } };
          const why = errOf(store, given);
          const isWished =
            state === 'complete' ||
            (state === 'running' &&
              desired !== 'shutdown' &&
              desired !== 'remove' &&
              node === 'ready');
          if (isWished) t.is(why, undefined, what);
          else t.regex(why ?? '', /\w+ \w+/, what);
          if (!isTerminal(state) && state !== 'new' && state !== 'pending' && node === 'down')
            t.regex(why ?? '', /host-down is down/, what);
        }
      }
    }
  }
});

test('a reason says what is waited for, and from whom', async (t) => {
  const store = await worldOf();
  const is = (given: Case, reason: string | undefined) => t.is(errOf(store, given), reason);
  is({ state: 'new' }, 'waiting for its ports and addresses to be allocated');
  is({ state: 'new', status: { Err: 'port 80 is taken' } }, 'port 80 is taken');
  is({ state: 'pending' }, 'waiting for the scheduler to choose a node');
  is(
    { state: 'pending', task: { NodeID: 'ready' } },
    'waiting for the scheduler to confirm node host-ready',
  );
  is({ state: 'assigned' }, 'waiting for node host-ready to accept it');
  is({ state: 'assigned', node: 'disconnected' }, 'its node host-disconnected is not connected');
  is({ state: 'preparing', status: { Message: 'pulling nginx: 30%' } }, 'pulling nginx: 30%');
  is({ state: 'preparing' }, 'preparing on node host-ready');
  is({ state: 'running', node: 'down' }, 'its node host-down is down');
  is({ state: 'running', status: { Ready: false } }, 'running, but not ready: it gets no traffic');
  const Restart = { Attempts: 2, Failures: 2, NotBefore: '2026-01-01T00:00:05.000Z' };
  is(
    { state: 'ready', desired: 'ready', task: { Restart }, status: { Message: 'ready' } },
    'waiting 5s before restart (2 failures in a row)',
  );
});

test('a task that stops or was stopped says why', async (t) => {
  const store = await worldOf();
  const is = (given: Case, reason: string | undefined) => t.is(errOf(store, given), reason);
  const task = { Stop: { Reason: 'its service was removed' } };
  const desired = 'remove';
  is({ state: 'running', desired, task }, 'stopping: its service was removed');
  const draining = 'draining: waiting for 2 connections to end, at most 10000 ms';
  is({ state: 'running', desired, task, status: { Message: draining } }, draining);
  is(
    { state: 'running', desired, task, node: 'down', status: { Message: draining } },
    'stopping: its service was removed; it may run on, because its node host-down is down',
  );
  is({ state: 'shutdown', desired, task }, 'shut down: its service was removed');
  const Message = 'shut down before it was started: its service was removed';
  is({ state: 'shutdown', desired, task, status: { Message, Err: 'no suitable node' } }, Message);
});

test('a step on the way is the message, too; a problem is not', async (t) => {
  const store = await worldOf();
  const of = (given: Case) => shown(store, given).Status;
  const step = of({ state: 'new', status: { Message: 'created' } });
  t.is(step.Err, step.Message);
  const Err = 'no suitable node (1 node not available for new tasks)';
  const stuck = of({ state: 'pending', status: { Message: 'pending task scheduling', Err } });
  t.deepEqual([stuck.Message, stuck.Err], ['pending task scheduling', Err]);
  const failed = of({ state: 'failed', status: { ContainerStatus: { ExitCode: 3 } } });
  t.is(failed.Err, 'exit code 3');
  const done = of({
    state: 'complete',
    status: { Err: 'not restarted: all 3 restarts were used up' },
  });
  t.is(done.Err, 'not restarted: all 3 restarts were used up');
});
