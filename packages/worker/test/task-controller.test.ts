import {
  isTerminal,
  type LogLine,
  SECOND,
  silentLogger,
  type Task,
  type TaskStatus,
} from '@swarm/api';
import test from 'ava';
import { Isolation } from '../src/agent/isolation.js';
import { Leftovers } from '../src/agent/leftovers.js';
import {
  DRAIN_LIMIT_MS,
  LAST_LINE_WAIT_MS,
  STARTS_AT_ONCE,
  STEP_NAMED_AFTER_MS,
} from '../src/agent/limits.js';
import { OBJECT_KINDS } from '../src/agent/object-kinds.js';
import { Semaphore } from '../src/agent/semaphore.js';
import { TaskNeeds } from '../src/agent/task-needs.js';
import { TaskController } from '../src/agent/task-controller.js';
import type { TaskHost } from '../src/agent/task-host.js';
import type { LeftTask } from '../src/runtime/runtime.js';
import { RuntimeError } from '../src/runtime/runtime-error.js';
import { FakeMesh } from './support/fake-mesh.js';
import { FakeRuntime } from './support/fake-runtime.js';
import { HTTP_PORT, makeTask, NODE_FACTS, type TaskWishes } from './support/make-task.js';
import { settle, VirtualClock } from '@swarm/sim';

class Bench {
  readonly clock = new VirtualClock();
  readonly runtime = new FakeRuntime();
  readonly mesh = new FakeMesh();
  readonly isolation = new Isolation(this.clock);
  readonly statuses: TaskStatus[] = [];
  readonly needs = new TaskNeeds(OBJECT_KINDS, { putObject() {}, deleteObject() {} });
  meshRunning = true;
  random = 0;
  startMesh = (): void => {};
  readonly #meshStarted = new Promise<void>((resolve) => (this.startMesh = resolve));
  readonly host: TaskHost;

  constructor() {
    this.isolation.setConnected(true);
    this.host = {
      runtime: this.runtime,
      mesh: this.mesh,
      clock: this.clock,
      logger: silentLogger,
      starts: new Semaphore(STARTS_AT_ONCE),
      random: () => this.random,
      leftovers: new Leftovers(this.clock),
      isolation: this.isolation,
      needs: this.needs,
      meshStarted: () => this.#meshStarted,
      meshRunning: () => this.meshRunning,
      meshNames: async () => {},
      node: () => NODE_FACTS,
      changed: (_task: Task, status) => this.statuses.push(status),
    };
  }

  add(id: string, wishes: TaskWishes = {}, found?: LeftTask): TaskController {
    const task = makeTask(id, wishes);
    const known = { task, status: task.Status, found, isAuthWithheld: false };
    return new TaskController(known, this.host);
  }

  /** A task that runs. */
  async running(id: string, wishes: TaskWishes = {}): Promise<TaskController> {
    const controller = this.add(id, wishes);
    await settle();
    this.runtime.calls.length = 0;
    return controller;
  }

  get states(): string[] {
    const states = this.statuses.map(({ State }) => State);
    return states.filter((state, at) => state !== states[at - 1]);
  }
}

const published: TaskWishes = { ports: [HTTP_PORT], address: '10.240.1.5/32' };

test('A task goes through every state in order until it runs', async (t) => {
  const bench = new Bench();
  const controller = bench.add('t1');
  await settle();
  t.deepEqual(bench.states, ['accepted', 'preparing', 'ready', 'starting', 'running']);
  t.deepEqual(controller.status.ContainerStatus, { ContainerID: 'c-t1', PID: 4242 });
  t.is(controller.status.Ready, undefined);
  t.true(bench.statuses.every(({ Message }) => Message !== ''));
});

test('A task reports the ports of its host that lead to it, until it has ended', async (t) => {
  const bench = new Bench();
  const fixed = { ...HTTP_PORT, PublishedPort: 8080, PublishMode: 'host' as const };
  const { PublishedPort: _, ...open } = { ...fixed, TargetPort: 53 };
  const chosen = { ...open, PublishedPort: 49_152 };
  const controller = bench.add('t1', { ...published, ports: [HTTP_PORT, fixed, open] });
  await settle();
  t.is(controller.status.State, 'running');
  t.deepEqual(controller.status.PortStatus, { Ports: [fixed, chosen] });
  t.deepEqual(bench.mesh.looks.at(-1), 'listens t1');
  t.deepEqual(
    bench.mesh.attached.get('t1')?.hostPorts?.map(({ publishedPort }) => publishedPort),
    [8080, 49_152],
  );
  controller.update(makeTask('t1', { ...published, desired: 'shutdown' }));
  await settle();
  t.is(controller.status.State, 'shutdown');
  t.is(controller.status.PortStatus, undefined);
});

test('A host port that the spec leaves open is chosen, and chosen again while it is not free', async (t) => {
  const bench = new Bench();
  const open = { Protocol: 'tcp', TargetPort: 80, PublishMode: 'host' } as const;
  bench.random = 0.5;
  bench.mesh.onAttach = async () => {
    bench.random = 0.999_99;
    bench.mesh.onAttach = async () => {};
    throw new Error('port tcp/57344 cannot be published on this node');
  };
  const controller = bench.add('t1', { ...published, ports: [{ ...open, PublishedPort: 0 }] });
  await settle();
  t.regex(controller.status.Message, /tcp\/57344 cannot be published/);
  await bench.clock.advance(10_000);
  t.is(controller.status.State, 'running');
  t.deepEqual(controller.status.PortStatus, { Ports: [{ ...open, PublishedPort: 65_535 }] });
});

test('A task that an earlier version started reports its ports once it is taken over', async (t) => {
  const bench = new Bench();
  const fixed = { ...HTTP_PORT, PublishedPort: 8080, PublishMode: 'host' as const };
  bench.runtime.tasks.set('t1', { state: 'running', ends: [] });
  const prepared = { containerId: 'c-t1' };
  const found = { taskId: 't1', sandboxId: 't1', state: 'running' as const, prepared };
  const { PublishedPort: _, ...open } = { ...fixed, TargetPort: 53 };
  const wishes = { ...published, ports: [fixed, open], observed: 'running' as const };
  const controller = bench.add('t1', wishes, found);
  await settle();
  t.deepEqual(controller.status.PortStatus, { Ports: [fixed, { ...open, PublishedPort: 53 }] });
});

test('A task desired ready waits there, says why, and starts when desired running', async (t) => {
  const bench = new Bench();
  const controller = bench.add('t1', { desired: 'ready' });
  await settle();
  t.is(controller.status.State, 'ready');
  t.regex(controller.status.Message, /waits/);
  t.false(bench.runtime.calls.includes('start t1'));
  controller.update(makeTask('t1', { desired: 'running' }));
  await settle();
  t.is(controller.status.State, 'running');
});

test('A task whose desired state is not beyond accepted is not prepared', async (t) => {
  const bench = new Bench();
  const controller = bench.add('t1', { desired: 'accepted' });
  await settle();
  t.is(controller.status.State, 'accepted');
  t.deepEqual(bench.runtime.calls, []);
});

test('A task that cannot run on this node is rejected at once, with the reason', async (t) => {
  const bench = new Bench();
  bench.runtime.onPrepare.set('t1', async () => {
    throw new RuntimeError('rejected', 'ContainerSpec.TTY cannot be had.');
  });
  const controller = bench.add('t1');
  await settle();
  t.is(controller.status.State, 'rejected');
  t.is(controller.status.Err, 'ContainerSpec.TTY cannot be had.');
  t.is(bench.runtime.calls.filter((call) => call === 'prepare t1').length, 1);
});

test('A preparation that fails for a while is tried again before it is rejected', async (t) => {
  const bench = new Bench();
  let tries = 0;
  bench.runtime.onPrepare.set('t1', async () => {
    tries += 1;
    if (tries < 3) throw new RuntimeError('failed', 'the disk is busy');
    return undefined;
  });
  const controller = bench.add('t1');
  await settle();
  t.is(controller.status.State, 'preparing');
  t.regex(controller.status.Message, /the disk is busy/);
  await bench.clock.advance(10_000);
  t.is(controller.status.State, 'running');
  bench.runtime.onPrepare.set('t2', async () => {
    throw new Error('always');
  });
  const other = bench.add('t2');
  await bench.clock.advance(10_000);
  t.is(other.status.State, 'rejected');
  t.is(other.status.Err, 'always');
});

test('A start that fails is FAILED, not REJECTED', async (t) => {
  const bench = new Bench();
  bench.runtime.onStart.set('t1', async () => {
    throw new RuntimeError('failed', 'no memory for the shell');
  });
  const controller = bench.add('t1');
  await settle();
  t.is(controller.status.State, 'failed');
  t.is(controller.status.Err, 'no memory for the shell');
});

test('A task that exits with 0 is complete, with another code it failed', async (t) => {
  const bench = new Bench();
  const good = await bench.running('t1');
  const bad = await bench.running('t2');
  bench.runtime.exit('t1', { kind: 'exit', code: 0 });
  bench.runtime.exit('t2', { kind: 'exit', code: 3, error: 'out of luck' });
  await settle();
  t.is(good.status.State, 'complete');
  t.is(good.status.ContainerStatus?.ExitCode, 0);
  t.is(bad.status.State, 'failed');
  t.is(bad.status.Err, 'exit code 3: out of luck');
  t.is(bad.status.ContainerStatus?.ExitCode, 3);
});

test('A failed task quotes the last line of its log, unless the runtime knows more', async (t) => {
  const bench = new Bench();
  const line = (text: string): LogLine => ({
    taskId: 't1',
    stream: 'stderr',
    timestamp: '2026-01-01T00:00:00Z',
    data: new TextEncoder().encode(text),
  });
  bench.runtime.lines = [
    line('first'),
    line('no database \u001b[31mat\u0007 db:5432\r\n'),
    line('  '),
  ];
  const talks = await bench.running('t1');
  const knows = await bench.running('t2');
  bench.runtime.exit('t1', { kind: 'exit', code: 3 });
  bench.runtime.exit('t2', { kind: 'exit', code: 137, signal: 'SIGKILL', error: 'out of memory' });
  await settle();
  t.is(talks.status.Err, 'exit code 3: no database \\x1b[31mat\\x07 db:5432');
  t.is(knows.status.Err, 'killed by SIGKILL: out of memory');
});

test('A log that cannot be read, or not soon, does not hold up the end of a task', async (t) => {
  const bench = new Bench();
  const broken = await bench.running('t1');
  const slow = await bench.running('t2');
  bench.runtime.logs = async function* (taskId) {
    if (taskId === 't1') throw new Error('the log driver cannot be read');
    yield await new Promise<LogLine>(() => {});
  };
  bench.runtime.exit('t1', { kind: 'exit', code: 1 });
  bench.runtime.exit('t2', { kind: 'exit', code: 2 });
  await settle();
  t.is(broken.status.Err, 'exit code 1');
  t.is(slow.status.State, 'running');
  await bench.clock.advance(LAST_LINE_WAIT_MS);
  t.is(slow.status.Err, 'exit code 2');
});

test('The grace period, signal and reason of a stop are those that the manager sends with it', async (t) => {
  const bench = new Bench();
  const container = { StopGracePeriod: 2 * SECOND, StopSignal: 'SIGQUIT' };
  const controller = await bench.running('t1', { container });
  const stop = { Reason: 'replaced by an update', GracePeriod: 60 * SECOND, Signal: 'SIGINT' };
  controller.update(makeTask('t1', { container, desired: 'shutdown', stop }));
  await settle();
  t.is(bench.runtime.calls[0], 'stop t1 60000 SIGINT');
  t.is(controller.status.Message, 'shut down: replaced by an update');
  t.true(
    bench.statuses.some(
      ({ Message }) =>
        Message === 'stopping, with a grace period of 60000 ms: replaced by an update',
    ),
  );
});

test('An empty signal stands for the default one', async (t) => {
  const bench = new Bench();
  const container = { StopSignal: 'SIGQUIT' };
  const controller = await bench.running('t1', { container });
  const stop = { Reason: 'scaled down to 1', Signal: '' };
  controller.update(makeTask('t1', { container, desired: 'remove', stop }));
  await settle();
  t.is(bench.runtime.calls[0], 'stop t1 10000 default');
});

test('A ready task says until when it waits for its restart', async (t) => {
  const bench = new Bench();
  const until = new Date(bench.clock.now() + 10_000).toISOString();
  const restart = { Attempts: 2, Failures: 2, NotBefore: until };
  const waiting = bench.add('t1', { desired: 'ready', restart });
  const replacing = bench.add('t2', { desired: 'ready' });
  await settle();
  t.is(
    waiting.status.Message,
    `ready: waits until ${until} before its restart (2 failures in a row)`,
  );
  t.is(replacing.status.Message, 'ready: waits for the task that it replaces to stop');
});

test('An ended task releases what it holds; its logs stay until the assignment goes', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1', published);
  t.true(bench.mesh.attached.has('t1'));
  bench.runtime.exit('t1', { kind: 'exit', code: 1 });
  await settle();
  t.false(bench.mesh.attached.has('t1'));
  t.false(bench.runtime.calls.includes('remove t1'));
  await controller.remove();
  t.true(bench.runtime.calls.includes('remove t1'));
});

test('A start waits for health and says what it waits for', async (t) => {
  const bench = new Bench();
  let becomeHealthy = (): void => {};
  bench.runtime.onStart.set('t1', (progress) => {
    progress.waiting('waiting for the health check to pass');
    return new Promise((resolve) => {
      becomeHealthy = resolve;
    });
  });
  const controller = bench.add('t1');
  await settle();
  t.is(controller.status.State, 'starting');
  t.is(controller.status.Message, 'waiting for the health check to pass');
  becomeHealthy();
  await settle();
  t.is(controller.status.State, 'running');
});

test('A task that becomes unhealthy is stopped and FAILED', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1');
  bench.runtime.exit('t1', { kind: 'unhealthy', message: 'unhealthy: it printed: no' });
  await settle();
  t.is(controller.status.State, 'failed');
  t.is(controller.status.Err, 'unhealthy: it printed: no');
  t.is(bench.runtime.calls[0], 'stop t1 10000 default');
});

test('A task that should stop while it waits for health is stopped', async (t) => {
  const bench = new Bench();
  bench.runtime.onStart.set('t1', () => new Promise(() => {}));
  const controller = bench.add('t1');
  await settle();
  controller.update(makeTask('t1', { desired: 'shutdown' }));
  await settle();
  t.is(controller.status.State, 'shutdown');
  t.is(bench.runtime.tasks.get('t1')?.state, 'ended');
});

test('A preparation is aborted when the task should stop', async (t) => {
  const bench = new Bench();
  let fail = (_: Error): void => {};
  bench.runtime.onPrepare.set(
    't1',
    () =>
      new Promise((_, reject) => {
        fail = reject;
      }),
  );
  const controller = bench.add('t1');
  await settle();
  controller.update(makeTask('t1', { desired: 'shutdown' }));
  fail(new RuntimeError('aborted', 'not wanted'));
  await settle();
  t.is(controller.status.State, 'shutdown');
  t.is(controller.status.Message, 'shut down before it was started');
});

test('RUNNING is reported at once, without traffic until the task listens', async (t) => {
  const bench = new Bench();
  bench.mesh.listening = false;
  const controller = bench.add('t1', published);
  await settle();
  t.is(controller.status.State, 'running');
  t.is(controller.status.Ready, false);
  t.is(
    controller.status.Message,
    'running, but not listening on port 80/tcp yet: it gets no traffic',
  );
  await bench.clock.advance(5_000);
  t.is(controller.status.Ready, false);
  bench.mesh.listening = true;
  await bench.clock.advance(250);
  t.is(controller.status.Ready, true);
  const looks = bench.mesh.looks.length;
  await bench.clock.advance(5_000);
  t.is(bench.mesh.looks.length, looks, 'nobody looks any more');
});

test('A task that listens over IPv6 says so, at once or soon after it is ready', async (t) => {
  const bench = new Bench();
  bench.mesh.servesOverIpv6 = true;
  const both = bench.add('t1', published);
  await settle();
  t.like(both.status, { State: 'running', Ready: true, Ipv6: true });

  bench.mesh.servesOverIpv6 = false;
  const late = bench.add('t2', published);
  await settle();
  t.like(late.status, { State: 'running', Ready: true, Ipv6: undefined });
  bench.mesh.servesOverIpv6 = true;
  await bench.clock.advance(1_000);
  t.like(late.status, { State: 'running', Message: 'running', Ready: true, Ipv6: true });
});

test('Before it is stopped a task is drained: its connections may end', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1', published);
  bench.mesh.openConnections = 2;
  controller.update(makeTask('t1', { ...published, desired: 'shutdown' }));
  await bench.clock.advance(1_000);
  t.is(controller.status.State, 'running');
  t.regex(controller.status.Message, /^draining: waiting for 2 connections/);
  t.deepEqual(bench.runtime.calls, []);
  bench.mesh.openConnections = 0;
  await bench.clock.advance(250);
  t.is(controller.status.State, 'shutdown');
  t.is(controller.status.ContainerStatus?.ExitCode, 143);
});

test('Draining ends at the limit, or at the grace period when that is shorter', async (t) => {
  for (const [grace, limitMs] of [
    [2 * SECOND, 2_000],
    [60 * SECOND, DRAIN_LIMIT_MS],
  ] as const) {
    const bench = new Bench();
    const wishes = { ...published, container: { StopGracePeriod: grace, StopSignal: 'SIGQUIT' } };
    const controller = await bench.running('t1', wishes);
    bench.mesh.openConnections = 1;
    controller.update(makeTask('t1', { ...wishes, desired: 'shutdown' }));
    await bench.clock.advance(limitMs - 10);
    t.deepEqual(bench.runtime.calls, []);
    await bench.clock.advance(10);
    t.is(bench.runtime.calls[0], `stop t1 ${grace / 1e6} SIGQUIT`);
    t.is(controller.status.State, 'shutdown');
  }
});

test('A task that ends while it drains is SHUTDOWN, without waiting for the limit', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1', published);
  bench.mesh.openConnections = 1;
  controller.update(makeTask('t1', { ...published, desired: 'remove' }));
  await bench.clock.advance(50);
  bench.runtime.exit('t1', { kind: 'exit', code: 0 });
  await bench.clock.advance(250);
  t.is(controller.status.State, 'shutdown');
});

test('A failed stop is retried, and the status says so', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1');
  let fails = true;
  bench.runtime.onStop.set('t1', async () => {
    if (fails) throw new Error('it hangs in the kernel');
  });
  controller.update(makeTask('t1', { desired: 'shutdown' }));
  await settle();
  t.is(controller.status.State, 'running');
  t.regex(controller.status.Message, /it hangs in the kernel/);
  fails = false;
  await bench.clock.advance(1_000);
  t.is(controller.status.State, 'shutdown');
});

test('The desired state never falls: a task on its way out is not run again', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1', published);
  bench.mesh.openConnections = 1;
  controller.update(makeTask('t1', { ...published, desired: 'shutdown' }));
  await bench.clock.advance(50);
  controller.update(makeTask('t1', { ...published, desired: 'running' }));
  bench.mesh.openConnections = 0;
  await bench.clock.advance(300);
  t.is(controller.status.State, 'shutdown');
  t.is(controller.task.DesiredState, 'shutdown');
});

test('A removed assignment stops the task and removes everything of it', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1', published);
  await controller.remove();
  t.deepEqual(
    bench.runtime.calls.filter((call) => !call.startsWith('start')),
    ['stop t1 10000 default', 'stop t1 10000 default', 'remove t1'],
  );
  t.is(bench.runtime.tasks.size, 0);
  t.is(bench.mesh.attached.size, 0);
});

test('An ended task is not started again, whatever is desired', async (t) => {
  const bench = new Bench();
  const controller = bench.add('t1', { observed: 'failed', desired: 'running' });
  await settle();
  controller.update(makeTask('t1', { desired: 'running' }));
  await settle();
  t.deepEqual(bench.runtime.calls, []);
  t.is(controller.status.State, 'failed');
});

test('A bounded number of tasks is prepared at once', async (t) => {
  const bench = new Bench();
  const go: (() => void)[] = [];
  const controllers = Array.from({ length: 3 * STARTS_AT_ONCE }, (_, at) => {
    bench.runtime.onPrepare.set(
      `t${at}`,
      () => new Promise((resolve) => go.push(() => resolve(undefined))),
    );
    return bench.add(`t${at}`);
  });
  await settle();
  t.is(go.length, STARTS_AT_ONCE);
  while (go.length > 0) {
    go.shift()?.();
    await settle();
  }
  t.is(bench.runtime.mostPreparing, STARTS_AT_ONCE);
  t.true(controllers.every(({ status }) => status.State === 'running'));
});

test('A task with a network waits for the mesh and says so; others do not', async (t) => {
  const bench = new Bench();
  bench.meshRunning = false;
  const attached = bench.add('t1', published);
  const plain = bench.add('t2');
  await settle();
  t.is(attached.status.State, 'preparing');
  t.regex(attached.status.Message, /place in the routing mesh/);
  t.is(plain.status.State, 'running');
});

test('After a restart of the daemon a task that runs is taken over as it is', async (t) => {
  const bench = new Bench();
  bench.runtime.tasks.set('t1', { state: 'running', ends: [] });
  const found = {
    taskId: 't1',
    sandboxId: 't1',
    state: 'running',
    prepared: { containerId: 'c' },
  } as const;
  const controller = bench.add('t1', { ...published, observed: 'running' }, found);
  await settle();
  t.deepEqual(bench.runtime.calls, []);
  t.deepEqual(bench.statuses, []);
  bench.runtime.exit('t1', { kind: 'exit', code: 7 });
  await settle();
  t.is(controller.status.Err, 'exit code 7');
});

test('A task that died with its host is FAILED when a manager is there', async (t) => {
  const bench = new Bench();
  const controller = bench.add('t1', { observed: 'running' });
  await settle();
  t.is(controller.status.State, 'failed');
  t.regex(controller.status.Err ?? '', /nothing of t1/);
});

test('An isolated node restarts a task that died, under the same id and state', async (t) => {
  const bench = new Bench();
  bench.isolation.setConnected(false);
  const controller = bench.add('t1', { observed: 'running' });
  await bench.clock.advance(9_000);
  t.is(controller.status.State, 'running');
  t.is(controller.status.Ready, false);
  t.regex(controller.status.Message, /no manager can be reached/);
  t.false(bench.runtime.calls.includes('start t1'));
  await bench.clock.advance(2_000);
  t.deepEqual(bench.runtime.calls, ['remove t1', 'prepare t1', 'start t1']);
  t.regex(controller.status.Message, /^running: restarted by this node/);
  t.is(bench.runtime.tasks.get('t1')?.state, 'running');
  // It is supervised like any other.
  bench.isolation.setConnected(true);
  bench.runtime.exit('t1', { kind: 'exit', code: 1 });
  await settle();
  t.is(controller.status.State, 'failed');
});

test('A manager that comes back in time decides about the task that died', async (t) => {
  const bench = new Bench();
  bench.isolation.setConnected(false);
  const controller = await bench.running('t1');
  bench.runtime.exit('t1', { kind: 'exit', code: 1 });
  await bench.clock.advance(3_000);
  t.is(controller.status.State, 'running');
  bench.isolation.setConnected(true);
  await settle();
  t.is(controller.status.State, 'failed');
  t.false(bench.runtime.calls.includes('start t1'));
});

test('An isolated node does not restart what its policy or its kind forbids', async (t) => {
  for (const [wishes, code] of [
    [{ spec: { RestartPolicy: { Condition: 'none' } } }, 1],
    [{ spec: { RestartPolicy: { Condition: 'on-failure' } } }, 0],
    [{ desired: 'complete' }, 1],
  ] as const) {
    const bench = new Bench();
    bench.isolation.setConnected(false);
    const controller = await bench.running('t1', wishes);
    bench.runtime.exit('t1', { kind: 'exit', code });
    await settle();
    t.true(isTerminal(controller.status.State));
  }
});

test('Letting go of a task leaves it running', async (t) => {
  const bench = new Bench();
  const controller = await bench.running('t1', published);
  await controller.close();
  await bench.clock.advance(60_000);
  t.deepEqual(bench.runtime.calls, []);
  t.is(bench.runtime.tasks.get('t1')?.state, 'running');
});

test('A step of preparing that takes long is named; what was waited for before is not', async (t) => {
  const bench = new Bench();
  let made = (): void => {};
  bench.runtime.onSandbox.set('t1', () => new Promise((resolve) => (made = resolve)));
  let prepared = (): void => {};
  bench.runtime.onPrepare.set(
    't1',
    () => new Promise((resolve) => (prepared = () => resolve(undefined))),
  );
  bench.meshRunning = false;
  const controller = bench.add('t1', published);
  await settle();
  t.is(controller.status.Message, "waiting for the node's place in the routing mesh");
  bench.startMesh();
  await settle();
  t.is(controller.status.Message, 'preparing its sandbox, network and files');
  await bench.clock.advance(STEP_NAMED_AFTER_MS);
  t.is(controller.status.Message, 'creating its sandbox and network');
  made();
  await settle();
  await bench.clock.advance(STEP_NAMED_AFTER_MS);
  t.is(controller.status.Message, 'preparing its files and program');
  prepared();
  await settle();
  t.is(controller.status.State, 'running');
});

const BACKEND = 'networkbackend';

/** On an overlay network. */
const overlaid: TaskWishes = { address: '10.0.1.5/32' };

function addOverlay(bench: Bench): void {
  const [networks] = bench.needs.stores.filter(({ kind }) => kind === 'network');
  networks!.put({
    ...{ ID: 'ingress1', Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '', VNI: 4097 },
    Subnets: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }],
    Spec: {
      ...{ Name: BACKEND, Labels: {}, Driver: 'overlay', DriverOpts: {}, Scope: 'swarm' },
      ...{ Internal: true, Attachable: false, Ingress: false, IPv6Enabled: false },
    },
  } as { ID: string });
}

test('A task on an overlay network waits for the network, and for its names', async (t) => {
  const bench = new Bench();
  let name = (): void => {};
  const named = new Promise<void>((resolve) => (name = resolve));
  const host = { ...bench.host, meshNames: () => named };
  const task = makeTask('t1', overlaid);
  const known = { task, status: task.Status, found: undefined, isAuthWithheld: false };
  const controller = new TaskController(known, host);
  await settle();
  t.regex(controller.status.Message, /^waiting for network/);
  addOverlay(bench);
  await settle();
  t.is(controller.status.State, 'preparing');
  t.is(bench.mesh.attached.size, 0);
  name();
  await settle();
  t.is(controller.status.State, 'running', controller.status.Message);
  t.like(bench.mesh.attached.get('t1')?.attachments[0]?.overlay, {
    name: BACKEND,
    subnets: ['10.0.1.0/24'],
    isInternal: true,
  });
});

test('The mesh takes over a task of an earlier run that is on an overlay network', async (t) => {
  const bench = new Bench();
  addOverlay(bench);
  bench.runtime.tasks.set('t1', { state: 'running', ends: [] });
  const found = {
    ...{ taskId: 't1', sandboxId: 't1', state: 'running' as const },
    prepared: { containerId: 'c' },
  };
  const controller = bench.add('t1', { ...overlaid, observed: 'running' }, found);
  await settle();
  t.is(bench.mesh.adopted.size, 0, 'the mesh has not started');
  bench.startMesh();
  await settle();
  t.like(bench.mesh.adopted.get('t1'), { attachments: [{ addresses: ['10.0.1.5/32'] }] });
  t.is(controller.status.State, 'running');
});

test('A task on an overlay network drains on every port, published or not', async (t) => {
  const bench = new Bench();
  addOverlay(bench);
  const controller = await bench.running('t1', overlaid);
  bench.mesh.openConnections = 1;
  controller.update(makeTask('t1', { ...overlaid, desired: 'shutdown' }));
  await settle();
  t.regex(controller.status.Message, /^draining: waiting for 1 connection/);
  bench.mesh.openConnections = 0;
  await bench.clock.advance(1_000);
  t.is(controller.status.State, 'shutdown');
});

test('A running task says how many clients its service’s rules keep out', async (t) => {
  const bench = new Bench();
  addOverlay(bench);
  const controller = await bench.running('t1', overlaid);
  const last = { from: '10.0.1.9', protocol: 'tcp', port: 80 };
  controller.refused({ by: 'rules', taskId: 't1', count: 2, last });
  t.regex(
    controller.status.Message,
    /^running; refused 2 attempts .* from 10\.0\.1\.9 to tcp\/80$/,
  );
  controller.refused({
    by: 'rules',
    taskId: 't1',
    count: 1,
    last: { ...last, protocol: 'icmp', port: 0 },
  });
  t.regex(controller.status.Message, /^running; refused 3 attempts .* to icmp$/);
  controller.refused({ by: 'limits', taskId: 't1', count: 1, last: { ...last, port: 8080 } });
  t.regex(
    controller.status.Message,
    /; this node refused 1 attempt beyond the limits of a client, one from 10\.0\.1\.9 to published port tcp\/8080$/,
  );
  t.regex(controller.status.Message, /^running; refused 3 attempts/, 'both are told');
  controller.update(makeTask('t1', { ...overlaid, desired: 'shutdown' }));
  await settle();
  controller.refused({ by: 'rules', taskId: 't1', count: 1, last });
  t.notRegex(controller.status.Message, /refused/);
});
