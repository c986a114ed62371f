import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { until } from '@swarm/sim';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';
import { ALL_LOGS, collect, text } from './support/real.js';

const SCRIPT = fileURLToPath(new URL('./support/daemon-script.js', import.meta.url));
let counter = 0;

type Harness = Awaited<ReturnType<typeof openProcessRuntime>>;

/** A daemon in a process of its own that runs one task. */
async function startDaemon(
  harness: Harness,
  privileged: boolean,
  script: string,
): Promise<{ daemon: ChildProcess; taskId: string }> {
  counter += 1;
  const taskId = `adopt${process.pid}x${counter}`;
  const args = [SCRIPT, harness.folder, harness.parent, String(privileged), taskId, script];
  const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  // Where a test fails it must not stay.
  process.once('exit', () => daemon.kill('SIGKILL'));
  let up = false;
  daemon.stdout?.on('data', () => {
    up = true;
  });
  const log = join(harness.folder, 'tasks', taskId, 'stdout.log');
  // Its first line says that it set its traps.
  await until('the daemon runs its task', () => up && sizeOf(log) > 0);
  return { daemon, taskId };
}

async function kill(daemon: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGKILL');
  await gone;
}

for (const privileged of IS_ROOT ? [true, false] : [false]) {
  const how = privileged ? 'with root' : 'without root';

  test(`A task survives the SIGKILL of its daemon and is adopted, ${how}`, async (t) => {
    const harness = await openProcessRuntime(privileged);
    const { daemon, taskId } = await startDaemon(
      harness,
      privileged,
      'trap "echo bye; exit 6" TERM; i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.05; done',
    );
    try {
      await kill(daemon);
      // What it prints while no daemon lives is in its log as well.
      const log = join(harness.folder, 'tasks', taskId, 'stdout.log');
      const before = readFileSync(log, 'utf8').split('\n').length;
      await until('it goes on', () => readFileSync(log, 'utf8').split('\n').length > before + 3);
      const runtime = harness.runtime;
      t.like((await runtime.list())[0], { taskId, state: 'running' });
      t.notThrows(() => process.kill(runtime.pid(taskId)!, 0));
      await runtime.stop(taskId, { graceMs: 10_000 });
      t.like(await runtime.wait(taskId), { kind: 'exit', code: 6 });
      const lines = (await collect(runtime.logs(taskId, ALL_LOGS))).map(text);
      t.is(lines.at(-1), 'bye\n');
      t.deepEqual(
        lines.slice(0, -1),
        lines.slice(0, -1).map((_, at) => `line ${at + 1}\n`),
      );
    } finally {
      await harness.close();
    }
  });

  test(`The exit code of a task that ends while no daemon lives is not lost, ${how}`, async (t) => {
    const harness = await openProcessRuntime(privileged);
    const { daemon, taskId } = await startDaemon(
      harness,
      privileged,
      'echo up; sleep 0.3; exit 42',
    );
    try {
      await kill(daemon);
      const exit = join(harness.folder, 'tasks', taskId, 'exit');
      await until('it ended', () => readsAs(exit, 42));
      t.like((await harness.runtime.list())[0], { taskId, state: 'ended' });
      t.like(await harness.runtime.wait(taskId), { kind: 'exit', code: 42 });
    } finally {
      await harness.close();
    }
  });

  test(`The end of an adopted task is noticed, ${how}`, async (t) => {
    const harness = await openProcessRuntime(privileged);
    const { daemon, taskId } = await startDaemon(
      harness,
      privileged,
      'trap "exit 8" USR1; echo up; while :; do sleep 0.05; done',
    );
    try {
      await kill(daemon);
      await harness.runtime.list();
      const end = harness.runtime.wait(taskId);
      process.kill(harness.runtime.pid(taskId)!, 'SIGUSR1');
      t.like(await end, { code: 8 });
    } finally {
      await harness.close();
    }
  });

  test(`A task whose supervisor is killed runs on; only its exit code is lost, ${how}`, async (t) => {
    const harness = await openProcessRuntime(privileged);
    const { daemon, taskId } = await startDaemon(
      harness,
      privileged,
      'trap "exit 8" USR1; echo up; while :; do sleep 0.05; done',
    );
    try {
      const pids = readFileSync(join(harness.folder, 'tasks', taskId, 'pids'), 'utf8');
      const [, supervisor = ''] = pids.replaceAll('\0', '').split('\n');
      process.kill(Number.parseInt(supervisor, 10), 'SIGKILL');
      await kill(daemon);
      t.like((await harness.runtime.list())[0], { state: 'running' });
      const end = harness.runtime.wait(taskId);
      process.kill(harness.runtime.pid(taskId)!, 'SIGUSR1');
      t.like(await end, { code: -1 });
      const told = await end;
      t.regex(told.kind === 'exit' ? (told.error ?? '') : '', /exit code is lost/);
    } finally {
      await harness.close();
    }
  });
}

test("An ended task whose process number is a stranger's now kills no stranger", async (t) => {
  const harness = await openProcessRuntime(false);
  const { daemon, taskId } = await startDaemon(harness, false, 'echo up; exit 0');
  const stranger = spawn('/bin/sleep', ['600'], { detached: true, stdio: 'ignore' });
  try {
    await until('it ended', () => readsAs(join(harness.folder, 'tasks', taskId, 'exit'), 0));
    await kill(daemon);
    // As after a long time without a daemon: the number was given to a new session.
    const file = join(harness.folder, 'tasks', taskId, 'pids');
    const pids = readFileSync(file, 'utf8');
    writeFileSync(file, pids.replace(/^\d+/, String(stranger.pid)));
    t.like((await harness.runtime.list())[0], { taskId, state: 'ended' });
    await harness.runtime.remove(taskId);
    t.is(stranger.exitCode ?? stranger.signalCode, null);
    t.notThrows(() => process.kill(stranger.pid!, 0));
  } finally {
    stranger.kill('SIGKILL');
    await harness.close();
  }
});

/** The file is made by the task itself, a moment after it was started. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Whether the exit code was written down. */
function readsAs(path: string, code: number): boolean {
  try {
    const text = readFileSync(path, 'utf8');
    return text.endsWith('\n') && Number(text) === code;
  } catch {
    return false;
  }
}
