import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import anyTest, { type TestFn } from 'ava';
import { makeTask } from './support/make-task.js';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';
import { ALL_LOGS, collect, text } from './support/real.js';
import { prepare } from './support/prepare.js';

const test = (IS_ROOT ? anyTest : anyTest.skip) as TestFn;
if (!IS_ROOT) anyTest('SKIPPED, run as root: cgroups, users', (t) => t.pass());

// As the daemon has it.
process.umask(0o077);

test('The daemon’s umask does not reach a task, its health check or its cgroup', async (t) => {
  const harness = await openProcessRuntime(true);
  t.teardown(() => harness.close());
  const { runtime } = harness;
  const task = makeTask(`umask${process.pid}`, {
    container: {
      Command: ['/bin/sh', '-c', 'umask; exec sleep 600'],
      Args: [],
      Healthcheck: { Test: ['CMD-SHELL', 'umask >/tmp/umask'], Interval: 20e6 },
    },
    spec: { Resources: { Limits: { MemoryBytes: 64 * 2 ** 20 } } },
  });
  await prepare(runtime, task);
  await runtime.start(task.ID, { started() {}, waiting() {} });
  const cgroups = execFileSync('find', ['/sys/fs/cgroup', '-type', 'd', '-name', task.ID])
    .toString()
    .trim()
    .split('\n');
  for (const path of cgroups)
    for (const each of [path, dirname(path)]) t.is(statSync(each).mode & 0o777, 0o755, each);
  // Its /tmp is its own.
  const file = `/proc/${runtime.pid(task.ID)}/root/tmp/umask`;
  t.is(readFileSync(file, 'utf8'), '0022\n');
  await runtime.stop(task.ID, { graceMs: 0 });
  const lines = (await collect(runtime.logs(task.ID, ALL_LOGS))).map((line) => text(line).trim());
  t.deepEqual(lines, ['0022']);
  await runtime.remove(task.ID);
});
