import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import type { Node, Service, Task, TaskState, UpdateState } from '@swarm/api';
import test from 'ava';
import { ApiClient } from '../src/client/api-client.js';
import { measure, measureJob } from '../src/progress/measure.js';
import { waitForService } from '../src/progress/wait.js';
import { folderOf } from './support/folder.js';
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

test('progress shows why a task that runs gets no traffic, after what others wait for', (t) => {
  const Message = 'running, but not listening on port 80/tcp yet: it gets no traffic';
  const deaf = task(1, 'running', { Status: { State: 'running', Ready: false, Message } });
  t.like(measure(replicated(1), [deaf], NODES), { running: 1, waiting: Message });
  const pending = task(2, 'pending', { Status: { State: 'pending', Err: 'no suitable node' } });
  t.is(measure(replicated(2), [deaf, pending], NODES).waiting, 'no suitable node');
});

const failed = (slot: number, CreatedAt: string, Err: string | undefined, rest: object = {}) =>
  task(slot, 'failed', {
    ...{ CreatedAt, DesiredState: 'shutdown' },
    Status: { State: 'failed', ...(Err === undefined ? {} : { Err }) },
    ...rest,
  });
const waitingTask = (slot: number, seconds: number, failures: number) =>
  task(slot, 'ready', {
    CreatedAt: '9',
    Status: {
      State: 'ready',
      Err: `waiting ${seconds}s before restart (${failures} failures in a row)`,
    },
  });

test('the cause of a failure comes before the wait for the restart', (t) => {
  const nodes = [{ ID: 'n1', Status: { State: 'ready' }, Description: { Hostname: 'h1' } }];
  const tasks = [
    failed(1, '1', 'the task exited with code 2'),
    failed(1, '2', 'the task exited with code 3: no such file: /etc/x'),
    waitingTask(1, 5, 2),
  ];
  const {
    failures,
    waiting,
    tasks: places,
    isOver,
  } = measure(replicated(1), tasks, nodes as never);
  t.deepEqual(failures, ['the task exited with code 3: no such file: /etc/x (task 1 on h1)']);
  t.is(waiting, 'waiting 5s before restart (2 failures in a row)');
  t.deepEqual(places, [
    { place: '1', state: 'ready', error: 'the task exited with code 3: no such file: /etc/x' },
  ]);
  t.false(isOver);
});

test('one cause of many tasks is said once, and a few causes at most', (t) => {
  const many = [1, 2, 3, 4, 5, 6].flatMap((slot) => [
    failed(slot, `${slot}`, slot > 3 ? 'out of memory' : `exit ${slot}`),
    waitingTask(slot, 5, 1),
  ]);
  t.deepEqual(measure(replicated(6), many, []).failures, [
    'out of memory (task 6 on n1, and 2 more)',
    'exit 3 (task 3 on n1)',
    'exit 2 (task 2 on n1)',
  ]);
  const code = failed(1, '1', undefined, {
    Status: { State: 'failed', ContainerStatus: { ExitCode: 7 } },
  });
  t.deepEqual(measure(replicated(1), [code], []).failures, ['exited with code 7 (task 1 on n1)']);
});

test('a place that runs again has no failure to show', (t) => {
  const tasks = [failed(1, '1', 'exit 3'), task(1, 'running', { CreatedAt: '2' })];
  t.like(measure(replicated(1), tasks, NODES), { running: 1, failures: [], isOver: false });
});

/** A service of this restart policy. */
const restarting = (Condition: string, mode: Service['Spec']['Mode'], rest: object = {}) => {
  const RestartPolicy = { Condition, ...rest };
  return { ...service(mode), Spec: { Mode: mode, TaskTemplate: { RestartPolicy } } } as Service;
};
const ONE = { Replicated: { Replicas: 1 } };

test('a task that ended well and is not restarted is as it should be', (t) => {
  for (const condition of ['none', 'on-failure'])
    t.like(measure(restarting(condition, ONE), [task(1, 'complete')], NODES), {
      ...{ running: 1, wanted: 1 },
    });
  t.is(measure(restarting('any', ONE), [task(1, 'complete')], NODES).running, 0);
  t.like(measure(restarting('none', { Global: {} }), [task(0, 'complete')], NODES), {
    ...{ running: 1, wanted: 1 },
  });
});

test('it is over when what is missing ended, and the policy may not allow more', (t) => {
  const isOver = (tasks: readonly Task[], condition = 'none', rest = {}, Replicas = 1) =>
    measure(restarting(condition, { Replicated: { Replicas } }, rest), tasks, NODES).isOver;
  t.true(isOver([task(1, 'failed')]));
  t.true(isOver([task(1, 'failed')], 'on-failure', { MaxAttempts: 2 }));
  // It waits for a restart, may be restarted, or its other half is still to come.
  t.false(isOver([task(1, 'failed'), waitingTask(1, 5, 1)]));
  t.false(isOver([task(1, 'failed')], 'any'));
  t.false(isOver([task(1, 'failed')], 'none', {}, 2));
  // It was rejected in its back-off, after which it is restarted.
  t.false(isOver([task(1, 'rejected', { DesiredState: 'ready' })], 'any', { MaxAttempts: 3 }));
});

test('a task that failed and was not replaced is not wanted there by a global service', (t) => {
  const tasks = [task(0, 'running'), failed(0, '1', 'exit 1', { NodeID: 'n2' })];
  t.like(measure(service({ Global: {} }), tasks, NODES), { running: 1, wanted: 1 });
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
  let isClosed = false;
  const close = () => {
    isClosed = true;
  };
  const client = {
    get: (path: string) => (isClosed ? Promise.reject(new Error('interrupted')) : get(path)),
    close,
  };
  const code = await waitForService(client as unknown as ApiClient, 's', output, {
    quiet: false,
    now: () => now,
    signals: new EventEmitter(),
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

test('an update that pauses names the failure, not only its task', async (t) => {
  const tasks = [failed(1, '1', 'exit 3'), task(2, 'running')];
  const paused = { ...updated('paused'), Spec: replicated(2).Spec };
  const { code, output } = await wait([{ service: paused, tasks }]);
  t.is(code, 1);
  t.is(output.err, `service update paused: why\nfailed: exit 3 (task 1 on n1)\n${ADVICE}`);
});

test('an update that was rolled back names the failure, which only its start tells', async (t) => {
  const culprit = failed(1, '1', 'exit 9', { ID: 'bad' });
  const tasks = [culprit, failed(1, '2', 'exit 3', { ID: 'other' })];
  const Message = 'update rolled back due to failure or early termination of task bad';
  const back = { ...replicated(1), UpdateStatus: { State: 'rollback_started' as const, Message } };
  const { code, output } = await wait([
    { service: back, tasks },
    { service: updated('rollback_completed'), tasks: running },
  ]);
  t.is(code, 1);
  t.is(output.err, 'service rolled back: why\nfailed: exit 9 (task 1 on n1)\n');
});

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

test('tasks that ended badly and are not restarted are a failure once the others run', async (t) => {
  const policy = restarting('none', { Replicated: { Replicas: 2 } });
  const ended = failed(1, '1', 'exit 3');
  const { code, output } = await wait([
    ...Array.from({ length: 50 }, () => ({ service: policy, tasks: [ended, task(2, 'starting')] })),
    { service: policy, tasks: [ended, task(2, 'running')] },
  ]);
  t.is(code, 1);
  t.is(output.err, 'service failed: exit 3 (task 1 on n1)\n');
});

test('a task that is restarted after a while is waited for', async (t) => {
  const ended = { service: replicated(1), tasks: [failed(1, '1', 'exit 3')] };
  const again = { service: replicated(1), tasks: [failed(1, '1', 'exit 3'), task(1, 'ready')] };
  const moments = [ended, ...Array.from({ length: 100 }, () => again)];
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

test('a service whose tasks ended for good is not waited for', async (t) => {
  const policy = restarting('none', ONE);
  t.is((await wait([{ service: policy, tasks: [task(1, 'complete')] }])).code, 0);
  const tasks = [failed(1, '1', 'exit 3')];
  const { code, output, tookMs } = await wait([{ service: policy, tasks }]);
  t.is(code, 1);
  t.true(tookMs > 3000);
  t.is(output.err, 'service failed: exit 3 (task 1 on n1)\n');
});

test('a program that exits at once has a line for each restart, and its cause once', async (t) => {
  const moments = [1, 2, 3].flatMap((failures) => {
    const before = Array.from({ length: failures }, (_, at) => failed(1, `${at}`, 'exit 3'));
    // The wait counts down; each number is seen several times.
    return [5, 4.2, 3].flatMap((seconds) => {
      const tasks = [...before, waitingTask(1, seconds, failures)];
      return [
        { service: replicated(1), tasks },
        { service: replicated(1), tasks },
      ];
    });
  });
  const { output } = await wait([...moments, { service: replicated(1), tasks: running }]);
  t.is(
    output.out,
    [
      'overall progress: 0 out of 1 tasks',
      'failed: exit 3 (task 1 on n1)',
      'waiting: waiting 5s before restart (1 failures in a row)',
      'waiting: waiting 5s before restart (2 failures in a row)',
      'waiting: waiting 5s before restart (3 failures in a row)',
      'overall progress: 1 out of 1 tasks',
      'verify: Waiting 5 seconds to verify that tasks are stable...',
      'verify: Service s converged',
      '',
    ].join('\n'),
  );
});

for (const [signal, expected] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${signal} ends the waiting, and says that the cluster goes on`, async (t) => {
    const signals = new EventEmitter();
    let looks = 0;
    const { code, output } = await wait(
      [{ service: { ...replicated(1), Spec: { ...replicated(1).Spec, Name: 'web' } }, tasks: [] }],
      {
        signals,
        async sleep() {
          looks += 1;
          if (looks === 3) signals.emit(signal, signal);
          // As a timer does, so that others have their turn.
          await new Promise((resolve) => setImmediate(resolve));
        },
      },
    );
    t.is(code, expected);
    t.is(
      output.err,
      "Interrupted: the cluster goes on without this command. 'swarm service ps web' shows how far it is.\n",
    );
    t.is(signals.listenerCount(signal), 0);
    const seen = looks;
    // Each look takes a few turns of the event loop.
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    t.true(looks <= seen + 1, 'it goes on looking');
  });
}

test('a daemon that does not answer cannot hold up who waits no longer', async (t) => {
  const signals = new EventEmitter();
  const folder = folderOf(t);
  const server = createServer(() => signals.emit('SIGINT', 'SIGINT'));
  const socketPath = join(folder, 'daemon.sock');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  t.teardown(() => server.close());
  const client = new ApiClient({ socketPath });
  const output = recorder();
  t.is(await waitForService(client, 's', output, { quiet: true, signals }), 130);
  await new Promise<void>((resolve, reject) =>
    server.close((error) => (error ? reject(error) : resolve())),
  );
  t.regex(output.err, /service ps s' shows/);
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
  t.is(output.err, 'job failed: exit 3 (task 1 on n1)\n');
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
