import type { ContainerSpec, HostPrivileges, LogLine, Task, TaskSpec } from '@swarm/api';
import type { ExecutionContext, TestFn } from 'ava';
import { hasCallPrograms } from '../../src/runtime/process/call-program.js';
import type { Runtime, TaskEnd } from '../../src/runtime/runtime.js';
import { makeTask } from './make-task.js';
import { IS_ROOT, openProcessRuntime, type ProcessHarness } from './process-harness.js';
import { ALL_LOGS, collect, text } from './real.js';
import { prepare } from './prepare.js';

export const PROGRESS = { started() {}, waiting() {} };
let counter = 0;

export interface ShellWishes {
  readonly container?: Partial<ContainerSpec>;
  readonly spec?: Partial<TaskSpec>;
  readonly policy?: HostPrivileges;
  readonly address?: string;
}

/** A task of image `host` that runs a shell script. */
export function shellTask(script: string, wishes: ShellWishes = {}): Task {
  counter += 1;
  return makeTask(`host${process.pid}x${counter}`, {
    container: { Command: ['/bin/sh', '-c', script], Args: [], ...wishes.container },
    ...(wishes.spec === undefined ? {} : { spec: wishes.spec }),
    ...(wishes.policy === undefined ? {} : { hostPrivileges: wishes.policy }),
    ...(wishes.address === undefined ? {} : { address: wishes.address }),
  });
}

/**
 * Tests with root, on the kernel, both ways in which tasks are started: they must do the same. Without
 * root there is nothing to test.
 */
export function checkBothStarts(
  test: TestFn,
): (title: string, body: (t: ExecutionContext, h: ProcessHarness) => Promise<void>) => void {
  return (title, body) => {
    for (const usesCalls of IS_ROOT ? [true, false] : []) {
      if (usesCalls && !hasCallPrograms()) continue;
      test(`${title} (started by ${usesCalls ? 'calls' : 'a shell'})`, async (t) => {
        const harness = await openProcessRuntime(true, { usesCalls });
        try {
          await body(t, harness);
        } finally {
          await harness.close();
        }
      });
    }
  };
}

/** Runs a task to its end; what it printed and how it ended. */
export async function outcome(
  runtime: Runtime,
  task: Task,
): Promise<{ end: TaskEnd; lines: string[] }> {
  await prepare(runtime, task);
  // One that ends before it is noticed to run is no failure here.
  await runtime.start(task.ID, PROGRESS).catch(() => {});
  const end = await runtime.wait(task.ID);
  const lines: LogLine[] = await collect(runtime.logs(task.ID, ALL_LOGS));
  return { end, lines: lines.map((line) => text(line).trimEnd()) };
}

export function errorOf(end: TaskEnd): string {
  return end.kind === 'exit' ? (end.error ?? '') : '';
}
