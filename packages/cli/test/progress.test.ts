import type { Node, Service, Task, TaskState, UpdateState } from '@swarm/api';
import test from 'ava';
import type { ApiClient } from '../src/client/api-client.js';
import { measure, measureJob } from '../src/progress/measure.js';
import { waitForService } from '../src/progress/wait.js';
import { recorder } from './support/recorder.js';

const NODES = [
  { ID: 'n1', Status: { State: 'ready' } },
  { ID: 'n2', Status: { State: 'down' } },
] as unknown as Node[];

function service(mode: Service['Spec']['Mode'], rest: object = {}): Service {
  return { ID: 's', Spec: { Name: 'web', Mode: mode }, ...rest } as unknown as Service;
}

function task(slot: number, state: TaskState, rest: object = {}): Task {
  return {
    Slot: slot,
    NodeID: 'n1',
    DesiredState: 'running',
    Status: { State: state },
    ...rest,
  } as unknown as Task;
}

const replicated = (count: number) => service({ Replicated: { Replicas: count } });

test('a slot counts once, by its task that is furthest', (t) => {
  const tasks = [task(1, 'running'), task(1, 'preparing'), task(2, 'starting')];
  t.like(measure(replicated(3), tasks, NODES), { running: 1, wanted: 3 });
});

test('tasks on a node that is down, or that should stop, do not count', (t) => {
  const tasks = [
    task(1, 'running', { NodeID: 'n2' }),
    task(2, 'running', { DesiredState: 'shutdown' }),
    task(3, 'running'),
  ];
  t.like(measure(replicated(3), tasks, NODES), { running: 1, wanted: 3 });
});

test('more tasks than are wanted, while scaling down, are no more than all', (t) => {
  t.like(measure(replicated(1), [task(1, 'running'), task(2, 'running')], NODES), {
    running: 1,
    wanted: 1,
  });
});

test('a global service wants a task on each node that has one', (t) => {
  const tasks = [task(0, 'running'), task(0, 'starting', { NodeID: 'n3' })];
  t.like(measure(service({ Global: {} }), tasks, NODES), { running: 1, wanted: 2 });
});

test('progress shows what the least advanced task waits for, or the service', (t) => {
  const tasks = [
    task(1, 'preparing', { Status: { State: 'preparing', Err: 'pulling' } }),
    task(2, 'pending', { Status: { State: 'pending', Err: 'no suitable node' } }),
  ];
  t.is(measure(replicated(2), tasks, NODES).waiting, 'no suitable node');
  const stuck = { ...replicated(1), AllocationError: 'no free port' };
  t.is(measure(stuck, [], NODES).waiting, 'no free port');
  t.is(measure(replicated(1), [task(1, 'running')], NODES).waiting, undefined);
});

test('a job counts the places that are done in its present run', (t) => {
  const job = service(
    { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 4 } },
    { JobStatus: { JobIteration: { Index: 1 } } },
  );
  const now = { JobIteration: { Index: 1 } };
  const tasks = [
    task(1, 'complete', now),
    task(2, 'failed', now),
    task(2, 'running', now),
    task(3, 'complete', { JobIteration: { Index: 0 } }),
  ];
  t.like(measureJob(job, tasks), { completed: 1, total: 4, active: 1, concurrent: 2 });
  const all = service({ GlobalJob: {} });
  const global = [task(0, 'complete'), task(0, 'starting', { NodeID: 'n2' })];
  t.like(measureJob(all, global), { completed: 1, total: 2, active: 1 });
  t.like(measureJob(all, []), { completed: 0, total: 0 });
});

interface Moment {
  readonly service: Service;
  readonly tasks: readonly Task[];
}

/** Waits with a clock of its own: each poll sees the next moment, the last one for ever. */
async function wait(moments: readonly Moment[], options: object = {}) {
  const output = recorder();
  let at = 0;
  let now = 0;
  const moment = () => moments[Math.min(at, moments.length - 1)]!;
  const get = async (path: string) => {
    if (path === '/tasks') return moment().tasks;
    return path === '/nodes' ? NODES : moment().service;
  };
  const code = await waitForService({ get } as unknown as ApiClient, 's', output, {
    quiet: false,
    now: () => now,
    async sleep(ms) {
      now += ms;
      at += 1;
      if (at > 1000) throw new Error('it never ends');
    },
    ...options,
  });
  return { code, output, tookMs: now };
}

const updated = (State: UpdateState): Service => ({
  ...replicated(1),
  UpdateStatus: { State, Message: 'why' },
});
const running = [task(1, 'running')];

test('a service has converged when all tasks ran for the monitor period', async (t) => {
  const { code, output, tookMs } = await wait([
    { service: replicated(1), tasks: [task(1, 'preparing')] },
    { service: replicated(1), tasks: running },
    { service: replicated(1), tasks: [] },
    { service: replicated(1), tasks: running },
  ]);
  t.is(code, 0);
  t.true(tookMs >= 5600, `${tookMs}`);
  t.is(output.out.match(/overall progress: 0 out of 1/g)?.length, 2);
  t.true(output.out.endsWith('verify: Service s converged\n'));
});

test('the monitor period is that of the service', async (t) => {
  const short = { ...replicated(1) };
  short.Spec = { ...short.Spec, UpdateConfig: { Parallelism: 1, Monitor: 1e9 } };
  const { tookMs } = await wait([{ service: short, tasks: running }]);
  t.is(tookMs, 1000);
});

test('an update under way has not converged', async (t) => {
  const { code, tookMs } = await wait([
    ...Array.from({ length: 50 }, () => ({ service: updated('updating'), tasks: running })),
    { service: updated('completed'), tasks: running },
  ]);
  t.is(code, 0);
  t.is(tookMs, 15_000);
});

const ADVICE =
  'to go on: swarm service update --resume web; to go back: swarm service rollback web\n';

for (const [state, message] of [
  ['paused', `service update paused: why\n${ADVICE}`],
  ['rollback_paused', `service rollback paused: why\n${ADVICE}`],
  ['rollback_completed', 'service rolled back: why\n'],
] as const) {
  test(`an update that is ${state} is a failure`, async (t) => {
    const { code, output } = await wait([{ service: updated(state), tasks: running }]);
    t.is(code, 1);
    t.is(output.err, message);
  });
}

test('a pause says what tasks are made of, and a rollback where it went', async (t) => {
  const Revisions = { Current: 3, Completed: 1, Last: 3 };
  const paused = { ...updated('paused'), Revisions };
  const { output } = await wait([{ service: paused, tasks: running }]);
  t.regex(output.err, /\ntasks made meanwhile are of revision 1, which completed last\n/);
  const back = { ...updated('rollback_completed'), Revisions: { ...Revisions, Current: 1 } };
  const failed = await wait([{ service: back, tasks: running }]);
  t.is(failed.output.err, 'service rolled back to revision 1: why\n');
  const asked = await wait([{ service: back, tasks: running }], { asked: 'rollback' });
  t.true(asked.output.out.endsWith('rolled back to revision 1\n'), asked.output.out);
});

test('whoever only scales waits for the number, and hears of the pause', async (t) => {
  const { code, output } = await wait([{ service: updated('paused'), tasks: running }], {
    asked: 'change',
  });
  t.is(code, 0);
  t.true(output.out.includes('verify: Service s converged'));
  t.regex(output.err, /^service update paused: why\n/);
  const back = [{ service: updated('rollback_completed'), tasks: running }];
  t.is((await wait(back, { asked: 'change' })).code, 0, 'it asked for no update');
});

const ends = (state: TaskState, Condition: string, rest: object = {}) =>
  task(1, state, {
    DesiredState: 'shutdown',
    CreatedAt: '2026-01-01T00:00:00Z',
    Spec: { RestartPolicy: { Condition } },
    ...rest,
  });

for (const Condition of ['none', 'on-failure']) {
  test(`a task that ended well and is not restarted (${Condition}) has done its work`, async (t) => {
    const moments = [{ service: replicated(1), tasks: [ends('complete', Condition)] }];
    const { code, output } = await wait(moments);
    t.is(code, 0);
    t.true(output.out.startsWith('overall progress: 1 out of 1 tasks\n'));
    const global = [{ service: service({ Global: {} }), tasks: [ends('complete', Condition)] }];
    t.true((await wait(global)).output.out.includes('1 out of 1 tasks'));
  });
}

test('tasks that ended badly and are not restarted are a failure, with the reason', async (t) => {
  const failed = ends('failed', 'none', { Status: { State: 'failed', Err: 'exit 3' } });
  const { code, output } = await wait([
    { service: replicated(2), tasks: [failed, task(2, 'starting')] },
    { service: replicated(2), tasks: [failed, task(2, 'running')] },
  ]);
  t.is(code, 1);
  t.is(output.err, '1 of 2 tasks ended and are not restarted: exit 3\n');
});

test('a task that is restarted after a while is waited for', async (t) => {
  const failed = { service: replicated(1), tasks: [ends('failed', 'any')] };
  const again = { service: replicated(1), tasks: [ends('failed', 'any'), task(1, 'ready')] };
  const moments = [failed, ...Array.from({ length: 100 }, () => again)];
  const { code } = await wait([...moments, { service: replicated(1), tasks: running }]);
  t.is(code, 0);
});

test('a requested rollback is not a failure', async (t) => {
  const moments = [{ service: updated('rollback_completed'), tasks: running }];
  const { code, output } = await wait(moments, { asked: 'rollback' });
  t.is(code, 0);
  t.is(output.err, '');
});

test('quiet says nothing but failures', async (t) => {
  t.is((await wait([{ service: replicated(1), tasks: running }], { quiet: true })).output.out, '');
});

const JOB = service({ ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 2 } });

test('a job is waited for until it is complete', async (t) => {
  const { code, output } = await wait([
    { service: JOB, tasks: [] },
    { service: JOB, tasks: [task(1, 'running')] },
    { service: JOB, tasks: [task(1, 'complete'), task(2, 'running')] },
    { service: JOB, tasks: [task(1, 'complete'), task(2, 'complete')] },
  ]);
  t.is(code, 0);
  t.true(output.out.includes('job progress: 1 out of 2 complete'));
  t.true(output.out.endsWith('verify: job complete\n'));
});

test('a job whose tasks are not started again has failed', async (t) => {
  const failed = [task(1, 'failed', { Status: { State: 'failed', Err: 'exit 3' } })];
  const { code, output } = await wait([{ service: JOB, tasks: failed }]);
  t.is(code, 1);
  t.is(output.err, 'job failed: exit 3\n');
});

test('a job that starts a failed task again goes on', async (t) => {
  const failed = Array.from({ length: 10 }, () => ({ service: JOB, tasks: [task(1, 'failed')] }));
  const done = [task(1, 'complete'), task(2, 'complete')];
  const { code } = await wait([
    ...failed,
    { service: JOB, tasks: [task(1, 'failed'), task(1, 'running')] },
    ...failed,
    { service: JOB, tasks: done },
  ]);
  t.is(code, 0);
});
