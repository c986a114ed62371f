import type { ContainerSpec, Task } from '@swarm/api';
import { MS, RUNTIME_CAPABILITIES, SECOND } from '@swarm/api';
import type { TestFn } from 'ava';
import { until } from '@swarm/sim';
import type { Runtime } from '../../src/runtime/runtime.js';
import { RuntimeError } from '../../src/runtime/runtime-error.js';
import { makeTask } from '../support/make-task.js';
import { sandboxContract } from './sandbox-contract.js';
import { ALL_LOGS, collect, text } from '../support/real.js';
import { prepare } from '../support/prepare.js';

/** A runtime on a place of its own, and how to end its daemon and start another there. */
export interface RuntimeHarness {
  runtime: Runtime;
  /** Closes the runtime and opens it again, as a restart of the daemon does. */
  reopen(): Promise<Runtime>;
  /** Removes everything. */
  close(): Promise<void>;
}

export interface RuntimeContractOptions {
  /** Starts the names of the tests. */
  readonly name: string;
  readonly open: () => Promise<RuntimeHarness>;
  /** The image for tasks: one with `/bin/sh` and `sleep`. */
  readonly image: string;
  /**
   * Whether something else than the task's program is pid 1 of its namespace: the kernel keeps signals
   * that it does not handle away from pid 1. Docker has that for tasks with `Init` alone.
   */
  readonly hasInit?: boolean;
  /** Whether a sandbox with an address has a network namespace of its own. */
  readonly hasNetns: boolean;
  /** A command line of the image that listens on a port of the loopback and answers with a word. */
  readonly serve: (port: number, word: string) => string;
  /** A command line of the image that prints what answers there, and fails while nobody does. */
  readonly ask: (port: number) => string;
}

const progress = { started() {}, waiting() {} };
let counter = 0;

/**
 * What every runtime has to do, whatever it runs tasks with. To test one, call this from a test file
 * with ava's `test`.
 */
export function runtimeContract(test: TestFn, options: RuntimeContractOptions): void {
  const shell = (script: string, more: Partial<ContainerSpec> = {}): Task => {
    counter += 1;
    return makeTask(`contract${process.pid}x${counter}`, {
      container: { Image: options.image, Command: ['/bin/sh', '-c'], Args: [script], ...more },
    });
  };
  const check = (
    title: string,
    body: (t: import('ava').ExecutionContext, harness: RuntimeHarness) => Promise<void>,
  ): void => {
    test(`${options.name}: ${title}`, async (t) => {
      const harness = await options.open();
      try {
        await body(t, harness);
      } finally {
        await harness.close();
      }
    });
  };
  const run = async (runtime: Runtime, task: Task): Promise<void> => {
    await prepare(runtime, task);
    await runtime.start(task.ID, progress);
  };

  check('it describes its host', async (t, { runtime }) => {
    const description = await runtime.describe();
    t.is(description.kind, runtime.kind);
    t.is(description.platform.OS, 'linux');
    t.true(description.resources.MemoryBytes > 0);
    t.true(description.resources.NanoCPUs > 0);
    t.not(description.hostname, '');
    t.not(description.engineVersion, '');
    const { capabilities } = description;
    t.true(capabilities.every((word) => RUNTIME_CAPABILITIES.includes(word)));
    t.true(capabilities.includes(options.image === 'host' ? 'host-commands' : 'images'));
  });

  check('a prepared task runs no instruction before its start', async (t, { runtime }) => {
    const task = shell('echo ran');
    await prepare(runtime, task);
    t.is(runtime.pid(task.ID), undefined);
    t.deepEqual(
      (await runtime.list()).map(({ taskId, state }) => [taskId, state]),
      [[task.ID, 'prepared']],
    );
    // It may have ended by the time that its start is noticed.
    await runtime.start(task.ID, progress).catch(() => {});
    t.like(await runtime.wait(task.ID), { kind: 'exit', code: 0 });
    t.is((await collect(runtime.logs(task.ID, ALL_LOGS))).length, 1);
  });

  check('a running task has a process, and waits', async (t, { runtime }) => {
    const task = shell('exec sleep 600');
    await run(runtime, task);
    const pid = runtime.pid(task.ID);
    t.notThrows(() => process.kill(pid!, 0));
    let ended = false;
    void runtime.wait(task.ID).then(() => {
      ended = true;
    });
    await runtime.stop(task.ID, { graceMs: 5_000 });
    await until('wait resolves', () => ended);
    t.is(runtime.pid(task.ID), undefined);
    t.throws(() => process.kill(pid!, 0));
  });

  check('wait returns the exit code, as often as it is called', async (t, { runtime }) => {
    for (const code of [0, 3, 255]) {
      const task = shell(`exit ${code}`);
      await run(runtime, task).catch(() => {});
      t.like(await runtime.wait(task.ID), { kind: 'exit', code });
      t.like(await runtime.wait(task.ID), { kind: 'exit', code });
    }
  });

  check('a death by signal is reported with the signal', async (t, { runtime }) => {
    // From outside: the first process of a container cannot be killed from within (pid_namespaces(7)).
    const task = shell('exec sleep 600');
    await run(runtime, task);
    process.kill(runtime.pid(task.ID)!, 'SIGKILL');
    t.like(await runtime.wait(task.ID), { kind: 'exit', code: 137, signal: 'SIGKILL' });
  });

  if (options.hasInit === true) {
    check('a program without handlers ends by its stop signal, whatever it is', async (t, h) => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP']) {
        const task = shell('exec sleep 600');
        await run(h.runtime, task);
        await h.runtime.stop(task.ID, { graceMs: 60_000, signal });
        t.like(await h.runtime.wait(task.ID), { kind: 'exit', signal });
      }
    });
  }

  check('preparing or starting twice does it once', async (t, { runtime }) => {
    const task = shell('echo ran; exec sleep 600');
    await run(runtime, task);
    const pid = runtime.pid(task.ID);
    await run(runtime, task);
    t.is(runtime.pid(task.ID), pid);
    await runtime.stop(task.ID, { graceMs: 5_000 });
    t.is((await collect(runtime.logs(task.ID, ALL_LOGS))).length, 1);
  });

  check('a stop sends the signal it is given and waits', async (t, { runtime }) => {
    const task = shell('trap "echo asked; exit 5" USR1; echo up; while :; do sleep 0.05; done');
    await run(runtime, task);
    await until(
      'it is up',
      async () => (await collect(runtime.logs(task.ID, ALL_LOGS))).length > 0,
    );
    await runtime.stop(task.ID, { graceMs: 10_000, signal: 'SIGUSR1' });
    t.like(await runtime.wait(task.ID), { kind: 'exit', code: 5 });
    const lines = await collect(runtime.logs(task.ID, ALL_LOGS));
    t.deepEqual(lines.map(text), ['up\n', 'asked\n']);
  });

  check(
    'a task that ignores the signal is killed after its grace period, with all it started',
    async (t, h) => {
      const task = shell('trap "" TERM; sleep 601 & sleep 602 & echo up; while :; do wait; done');
      await run(h.runtime, task);
      await until('it is up', async () => {
        return (await collect(h.runtime.logs(task.ID, ALL_LOGS))).length > 0;
      });
      const startMs = Date.now();
      await h.runtime.stop(task.ID, { graceMs: 300 });
      t.true(Date.now() - startMs >= 290);
      t.like(await h.runtime.wait(task.ID), { code: 137 });
    },
  );

  check('a stop of a task that never started leaves it ended', async (t, { runtime }) => {
    const task = shell('echo ran');
    await prepare(runtime, task);
    await runtime.stop(task.ID, { graceMs: 1_000 });
    await t.throwsAsync(runtime.start(task.ID, progress), { instanceOf: RuntimeError });
    t.is((await collect(runtime.logs(task.ID, ALL_LOGS))).length, 0);
  });

  check('stop and remove of an unknown task are no error', async (t, { runtime }) => {
    await t.notThrowsAsync(runtime.stop('nobody', { graceMs: 0 }));
    await t.notThrowsAsync(runtime.remove('nobody'));
    await t.throwsAsync(runtime.wait('nobody'), { instanceOf: RuntimeError });
  });

  check('remove leaves nothing', async (t, { runtime }) => {
    const task = shell('exec sleep 600');
    await run(runtime, task);
    const pid = runtime.pid(task.ID);
    await runtime.remove(task.ID);
    t.throws(() => process.kill(pid!, 0));
    t.deepEqual(await runtime.list(), []);
    await t.throwsAsync(runtime.wait(task.ID), { instanceOf: RuntimeError });
  });

  check('a task sees the environment of its spec', async (t, { runtime }) => {
    const task = shell('echo "$A-$SLOT-$HOSTNAME"; pwd', {
      Env: ['A=a b\'c"d', 'SLOT={{.Task.Slot}}.{{.Service.Name}}@{{.Node.Hostname}}'],
      Dir: '/tmp',
    });
    await run(runtime, task).catch(() => {});
    await runtime.wait(task.ID);
    const lines = (await collect(runtime.logs(task.ID, ALL_LOGS))).map(text);
    t.deepEqual(lines, [`a b'c"d-1.web@worker-1-${task.ID.slice(0, 12)}\n`, '/tmp\n']);
  });

  check('logs tell streams apart, and give the last lines when asked', async (t, { runtime }) => {
    const task = shell('for i in 1 2 3 4 5; do echo "out $i"; done; echo "err 1" >&2; printf end');
    await run(runtime, task).catch(() => {});
    await runtime.wait(task.ID);
    const lines = await collect(runtime.logs(task.ID, ALL_LOGS));
    t.is(lines.length, 7);
    t.true(lines.every((line) => line.taskId === task.ID));
    t.true(lines.every((line) => /^\d{4}-.*T.*\.\d{9}Z$/.test(line.timestamp)));
    const ageMs = Date.now() - Date.parse(lines[0]!.timestamp);
    t.true(ageMs >= 0 && ageMs < 60_000);
    const out = await collect(runtime.logs(task.ID, { ...ALL_LOGS, stderr: false }));
    t.deepEqual(out.map(text), ['out 1\n', 'out 2\n', 'out 3\n', 'out 4\n', 'out 5\n', 'end']);
    const last = await collect(runtime.logs(task.ID, { ...ALL_LOGS, stderr: false, tail: 2 }));
    t.deepEqual(last.map(text), ['out 5\n', 'end']);
    const none = await collect(runtime.logs(task.ID, { ...ALL_LOGS, tail: 0 }));
    t.deepEqual(none, []);
    const since = new Date(Date.now() + 60_000).toISOString();
    t.deepEqual(await collect(runtime.logs(task.ID, { ...ALL_LOGS, since })), []);
  });

  check('a follower gets lines as they come, and its end with the task', async (t, { runtime }) => {
    const task = shell('trap "echo two; exit 0" USR1; echo one; while :; do sleep 0.05; done');
    await run(runtime, task);
    const lines: string[] = [];
    let done = false;
    void (async () => {
      const log = runtime.logs(task.ID, { ...ALL_LOGS, follow: true });
      for await (const line of log) lines.push(text(line));
      done = true;
    })();
    await until('the first line', () => lines.length === 1);
    process.kill(runtime.pid(task.ID)!, 'SIGUSR1');
    await until('the end', () => done);
    t.deepEqual(lines, ['one\n', 'two\n']);
  });

  check('a follower that leaves does not wait for a line', async (t, { runtime }) => {
    const task = shell('exec sleep 600');
    await run(runtime, task);
    const lines = runtime.logs(task.ID, { ...ALL_LOGS, follow: true })[Symbol.asyncIterator]();
    const pending = lines.next();
    await lines.return?.();
    t.true((await pending).done);
  });

  check('with a health check, a start waits until it passes', async (t, { runtime }) => {
    const flag = `/tmp/swarm-contract-${process.pid}-${counter}`;
    const script = `trap "echo >${flag}" USR1; trap "rm -f ${flag}; exit 0" TERM; while :; do sleep 0.05; done`;
    const task = shell(script, {
      Healthcheck: {
        Test: ['CMD-SHELL', `test -e ${flag} || { echo not yet; exit 1; }`],
        Interval: 50 * MS,
        Retries: 1000,
      },
    });
    await prepare(runtime, task);
    let started = false;
    let healthy = false;
    let waited = '';
    const starting = runtime
      .start(task.ID, {
        started: () => {
          started = true;
        },
        waiting: (message) => {
          waited = message;
        },
      })
      .then(() => {
        healthy = true;
      });
    await until('a failed check', () => waited.includes('not yet'));
    t.true(started);
    t.false(healthy);
    process.kill(runtime.pid(task.ID)!, 'SIGUSR1');
    await starting;
    await runtime.stop(task.ID, { graceMs: 10_000 });
    t.like(await runtime.wait(task.ID), { kind: 'exit', code: 0 });
  });

  check('a task that becomes unhealthy is reported, and still runs', async (t, { runtime }) => {
    const task = shell('exec sleep 600', {
      Healthcheck: { Test: ['CMD', '/bin/sh', '-c', 'echo broken; exit 1'], Interval: 50 * MS },
    });
    await prepare(runtime, task);
    await t.throwsAsync(runtime.start(task.ID, progress), { instanceOf: RuntimeError });
    const end = await runtime.wait(task.ID);
    t.is(end.kind, 'unhealthy');
    t.regex(end.kind === 'unhealthy' ? end.message : '', /3 times in a row.*broken/);
    t.not(runtime.pid(task.ID), undefined);
    await runtime.stop(task.ID, { graceMs: 5_000 });
    t.like(await runtime.wait(task.ID), { kind: 'exit' });
  });

  check('a health check that hangs fails after its timeout', async (t, { runtime }) => {
    const task = shell('exec sleep 600', {
      Healthcheck: {
        Test: ['CMD-SHELL', 'sleep 600'],
        Interval: 20 * MS,
        Timeout: SECOND / 10,
        Retries: 1,
      },
    });
    await prepare(runtime, task);
    await t.throwsAsync(runtime.start(task.ID, progress), { instanceOf: RuntimeError });
    t.is((await runtime.wait(task.ID)).kind, 'unhealthy');
  });

  check('tasks outlive the daemon, and are adopted by the next', async (t, harness) => {
    const runs = shell('trap "exit 9" TERM; echo up; while :; do sleep 0.05; done');
    const ended = shell('exit 4');
    const waiting = shell('echo never');
    await run(harness.runtime, runs);
    await run(harness.runtime, ended).catch(() => {});
    await harness.runtime.wait(ended.ID);
    await prepare(harness.runtime, waiting);
    const pid = harness.runtime.pid(runs.ID);
    const runtime = await harness.reopen();
    const states = new Map((await runtime.list()).map(({ taskId, state }) => [taskId, state]));
    t.is(states.get(runs.ID), 'running');
    t.is(states.get(ended.ID), 'ended');
    t.is(states.get(waiting.ID), 'prepared');
    t.is(runtime.pid(runs.ID), pid);
    t.like(await runtime.wait(ended.ID), { code: 4 });
    await runtime.stop(runs.ID, { graceMs: 10_000 });
    t.like(await runtime.wait(runs.ID), { code: 9 });
    t.deepEqual((await collect(runtime.logs(runs.ID, ALL_LOGS))).map(text), ['up\n']);
  });

  sandboxContract(check, { ...options, shell });
}
