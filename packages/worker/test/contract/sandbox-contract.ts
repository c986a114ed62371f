import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Task } from '@swarm/api';
import type { ExecutionContext } from 'ava';
import { until } from '@swarm/sim';
import type { Runtime } from '../../src/runtime/runtime.js';
import { RuntimeError } from '../../src/runtime/runtime-error.js';
import type { Sandbox, SandboxSpec } from '../../src/runtime/sandbox.js';
import { prepareContext } from '../support/make-task.js';
import { ALL_LOGS, collect, text } from '../support/real.js';
import type { RuntimeHarness } from './runtime-contract.js';

const progress = { started() {}, waiting() {} };
const signal = new AbortController().signal;
let counter = 0;

export interface SandboxContractOptions {
  /** Whether an attached sandbox has a network namespace of its own. */
  readonly hasNetns: boolean;
  /** A task that runs a shell script. */
  readonly shell: (script: string) => Task;
  /** A command line that listens on a port of 127.0.0.1 and answers with a word. */
  readonly serve: (port: number, word: string) => string;
  /** A command line that prints what answers there. */
  readonly ask: (port: number) => string;
}

type Check = (
  title: string,
  body: (t: ExecutionContext, harness: RuntimeHarness) => Promise<void>,
) => void;

/** What every runtime has to do with sandboxes. */
export function sandboxContract(check: Check, options: SandboxContractOptions): void {
  const sandboxSpec = (change: Partial<SandboxSpec> = {}): SandboxSpec => {
    counter += 1;
    return {
      id: `box${process.pid}x${counter}`,
      addresses: ['198.18.0.91'],
      ports: [],
      shared: true,
      hosts: [],
      sysctls: {},
      ...change,
    };
  };
  const run = async (runtime: Runtime, task: Task, sandbox: Sandbox): Promise<void> => {
    await runtime.prepare(task, sandbox, prepareContext());
    await runtime.start(task.ID, progress);
  };
  const output = async (runtime: Runtime, task: Task): Promise<string> =>
    (await collect(runtime.logs(task.ID, ALL_LOGS))).map(text).join('');
  const sleeper = (): Task =>
    options.shell('trap "exit 7" TERM; echo up; while :; do sleep 0.05; done');
  /** Two tasks that run in one sandbox. */
  const pair = async (runtime: Runtime) => {
    const spec = sandboxSpec();
    const sandbox = await runtime.createSandbox(spec, signal);
    const tasks = [sleeper(), sleeper()] as const;
    for (const task of tasks) await run(runtime, task, sandbox);
    for (const task of tasks) {
      await until('it is up', async () => (await output(runtime, task)) !== '');
    }
    return { spec, sandbox, tasks };
  };
  const stands = (sandbox: Sandbox): boolean =>
    sandbox.netns !== undefined && existsSync(sandbox.netns);

  check('a sandbox is made once, listed, and found again after a restart', async (t, h) => {
    const spec = sandboxSpec();
    const sandbox = await h.runtime.createSandbox(spec, signal);
    t.is(sandbox.id, spec.id);
    t.is(sandbox.netns !== undefined, options.hasNetns);
    t.deepEqual(await h.runtime.createSandbox(spec, signal), sandbox);
    t.deepEqual(await h.runtime.listSandboxes(), [spec.id]);
    const runtime = await h.reopen();
    t.deepEqual(await runtime.listSandboxes(), [spec.id]);
    t.deepEqual(await runtime.createSandbox(spec, signal), sandbox);
    t.is(stands(sandbox), options.hasNetns);
    await runtime.removeSandbox(spec.id);
    t.deepEqual(await runtime.listSandboxes(), []);
    t.false(stands(sandbox));
    await t.notThrowsAsync(runtime.removeSandbox(spec.id));
    await t.notThrowsAsync(runtime.stopSandbox(spec.id, { graceMs: 0 }));
  });

  check('no task is prepared in a sandbox that does not exist', async (t, { runtime }) => {
    const gone = { id: sandboxSpec().id };
    const task = options.shell('echo ran');
    await t.throwsAsync(runtime.prepare(task, gone, prepareContext()), {
      instanceOf: RuntimeError,
      message: /does not exist/,
    });
    t.deepEqual(await runtime.list(), []);
  });

  check('tasks of one sandbox reach each other on the loopback', async (t, { runtime }) => {
    const sandbox = await runtime.createSandbox(sandboxSpec(), signal);
    attach(sandbox);
    const port = await freePort();
    const server = options.shell(options.serve(port, 'hello'));
    const client = options.shell(
      `i=0; until ${options.ask(port)}; do i=$((i+1)); [ $i -gt 100 ] && exit 1; sleep 0.1; done`,
    );
    await run(runtime, server, sandbox);
    await run(runtime, client, sandbox).catch(() => {});
    await until('an answer', async () => (await output(runtime, client)).includes('hello'));
    t.like(await runtime.wait(client.ID), { kind: 'exit', code: 0 });
  });

  if (options.hasNetns) {
    check('tasks are in the namespace that the sandbox names', async (t, { runtime }) => {
      const { sandbox, tasks } = await pair(runtime);
      const inside = namespaceOf(sandbox.netns!);
      for (const { ID } of tasks) {
        t.is(namespaceOf(`/proc/${runtime.pid(ID)}/ns/net`), inside);
      }
      t.not(namespaceOf('/proc/self/ns/net'), inside);
    });
  }

  check('each task ends on its own, and the sandbox with the last', async (t, { runtime }) => {
    const { spec, sandbox, tasks } = await pair(runtime);
    const [first, second] = tasks;
    await runtime.stop(first.ID, { graceMs: 10_000 });
    t.like(await runtime.wait(first.ID), { code: 7 });
    t.not(runtime.pid(second.ID), undefined);
    t.deepEqual(await runtime.listSandboxes(), [spec.id]);
    await runtime.remove(first.ID);
    t.deepEqual(await runtime.listSandboxes(), [spec.id]);
    await runtime.stop(second.ID, { graceMs: 10_000 });
    t.like(await runtime.wait(second.ID), { code: 7 });
    t.deepEqual(await runtime.listSandboxes(), []);
    t.false(stands(sandbox));
    t.regex(await output(runtime, second), /up/);
  });

  check('a task that ends by itself leaves the other and the sandbox', async (t, { runtime }) => {
    const { spec, sandbox, tasks } = await pair(runtime);
    const short = options.shell('exit 4');
    await run(runtime, short, sandbox).catch(() => {});
    t.like(await runtime.wait(short.ID), { code: 4 });
    await runtime.stop(short.ID, { graceMs: 0 });
    t.deepEqual(await runtime.listSandboxes(), [spec.id]);
    for (const { ID } of tasks) t.not(runtime.pid(ID), undefined);
  });

  check('a stop of the sandbox ends all its tasks and keeps their logs', async (t, { runtime }) => {
    const { spec, sandbox, tasks } = await pair(runtime);
    await runtime.stopSandbox(spec.id, { graceMs: 10_000 });
    for (const task of tasks) {
      t.like(await runtime.wait(task.ID), { code: 7 });
      t.regex(await output(runtime, task), /up/);
    }
    t.deepEqual(await runtime.listSandboxes(), []);
    t.false(stands(sandbox));
    await runtime.removeSandbox(spec.id);
    t.deepEqual(await runtime.list(), []);
  });

  check('a restart of the daemon finds all tasks of a sandbox in it', async (t, h) => {
    const { spec, sandbox, tasks } = await pair(h.runtime);
    const pids = tasks.map(({ ID }) => h.runtime.pid(ID));
    const runtime = await h.reopen();
    const left = await runtime.list();
    t.deepEqual(left.map(({ taskId }) => taskId).sort(), tasks.map(({ ID }) => ID).sort());
    t.true(left.every(({ sandboxId, state }) => sandboxId === spec.id && state === 'running'));
    t.deepEqual(
      tasks.map(({ ID }) => runtime.pid(ID)),
      pids,
    );
    t.deepEqual(await runtime.createSandbox(spec, signal), sandbox);
    const third = sleeper();
    await run(runtime, third, sandbox);
    await runtime.stop(tasks[0].ID, { graceMs: 10_000 });
    t.deepEqual(await runtime.listSandboxes(), [spec.id]);
    await runtime.stopSandbox(spec.id, { graceMs: 10_000 });
    for (const { ID } of [tasks[1], third]) {
      t.is(runtime.pid(ID), undefined);
      t.like(await runtime.wait(ID), { code: 7 });
    }
  });

  check('removing a sandbox leaves nothing of its tasks', async (t, { runtime }) => {
    const { spec, sandbox, tasks } = await pair(runtime);
    await runtime.stop(tasks[0].ID, { graceMs: 0 });
    await runtime.removeSandbox(spec.id);
    t.deepEqual(await runtime.list(), []);
    t.deepEqual(await runtime.listSandboxes(), []);
    t.false(stands(sandbox));
    for (const { ID } of tasks) {
      await t.throwsAsync(runtime.wait(ID), { instanceOf: RuntimeError });
    }
  });
}

/** As much of the mesh's part as the loopback needs. */
function attach({ netns }: Sandbox): void {
  if (netns !== undefined) {
    execFileSync('nsenter', [`--net=${netns}`, 'ip', 'link', 'set', 'lo', 'up']);
  }
}

/** The kernel's number of a namespace, through any file that stands for it. */
function namespaceOf(path: string): string {
  return execFileSync('stat', ['-L', '-c', '%i', path]).toString().trim();
}

/** A port of this host that nobody listens on: tasks without a namespace share it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });
}
