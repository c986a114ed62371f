/** A "daemon" for tests to kill: starts a task with the process runtime, says so, and stays. */
import { silentLogger, systemClock } from '@swarm/api';
import { ProcessRuntime } from '../../src/runtime/process/process-runtime.js';
import { makeTask } from './make-task.js';
import { prepare } from './prepare.js';

const [folder, parent, privileged, taskId, script] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const runtime = new ProcessRuntime({
  folder,
  clock: systemClock(),
  logger: silentLogger,
  random: Math.random,
  privileged: privileged === 'true',
  cgroupParent: parent,
});
const task = makeTask(taskId, { container: { Command: ['/bin/sh', '-c', script], Args: [] } });
await prepare(runtime, task);
await runtime.start(taskId, { started() {}, waiting() {} });
console.log('up');
setInterval(() => {}, 1_000_000);
