import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '@swarm/sim';
import { reapLeftRuns, recordRun } from './support/left-runs.js';
import { makeTask } from './support/make-task.js';
import { prepare } from './support/prepare.js';
import { IS_ROOT, openProcessRuntime } from './support/process-harness.js';
import { makeFolder } from './support/real.js';

for (const privileged of IS_ROOT ? [true, false] : [false]) {
  const how = privileged ? 'with root' : 'without root';
  test(`What a killed suite left is reaped by its records, what runs is not, ${how}`, async (t) => {
    const runs = makeFolder();
    t.teardown(() => runs.remove());
    const harness = await openProcessRuntime(privileged);
    const taskId = `left${process.pid}${privileged ? 'p' : ''}`;
    const container = { Command: ['/bin/sh', '-c', 'sleep 1000 & wait'], Args: [] };
    await prepare(harness.runtime, makeTask(taskId, { container }));
    await harness.runtime.start(taskId, { started() {}, waiting() {} });
    const pid = harness.runtime.pid(taskId)!;
    const folder = join(runs.path, 'runs');
    const run = { folder: harness.folder, cgroupParent: harness.parent, privileged };
    const forget = recordRun(run, folder);
    t.deepEqual(await reapLeftRuns(folder), []);
    t.true(existsSync(`/proc/${pid}`));
    forget();
    recordRun(run, folder, { pid: process.pid, startTicks: 1 });
    t.deepEqual(await reapLeftRuns(folder), [harness.folder]);
    await until('its processes are gone', () => !existsSync(`/proc/${pid}`));
    t.false(existsSync(harness.folder));
    t.deepEqual(await reapLeftRuns(folder), []);
    await harness.runtime.close();
  });
}
