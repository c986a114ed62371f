import type { TaskEnd } from '../runtime.js';
import { signalName } from '@swarm/api';
import { SETUP_FAILED_CODE } from './launch-script.js';
import type { ProcessHost } from './process-host.js';
import { explainAccess } from './task-access.js';
import type { TaskFolder, TaskManifest } from './task-folder.js';

/** Shell's codes for "cannot be executed" and "not found". */
const EXEC_FAILED_CODES = new Set([126, 127]);

/**
 * How a task ended, according to its supervisor's records.
 * @param hadProcess whether its first process is known
 */
export function readEnd(
  manifest: TaskManifest,
  folder: TaskFolder,
  host: ProcessHost,
  hadProcess: boolean,
): TaskEnd {
  const code = folder.readExitCode();
  const failure = folder.readFailure();
  if (code === undefined) {
    return {
      kind: 'exit',
      code: -1,
      error:
        failure !== undefined && !hadProcess
          ? `could not start: ${failure}`
          : 'it ended together with its host or its supervisor, so its exit code is lost',
    };
  }
  const signal = code > 128 ? signalName(code - 128) : undefined;
  const error = explainCode(code, failure, manifest, host);
  return {
    kind: 'exit',
    code,
    ...(signal === undefined ? {} : { signal }),
    ...(error === undefined ? {} : { error }),
  };
}

function explainCode(
  code: number,
  failure: string | undefined,
  { taskId, memoryBytes, command, directory, user }: TaskManifest,
  { cgroups }: ProcessHost,
): string | undefined {
  let error: string | undefined;
  if (code === SETUP_FAILED_CODE && failure !== undefined) error = `could not start: ${failure}`;
  else if (cgroups.outOfMemoryKills(taskId) > 0) {
    error = `the kernel killed it: out of memory, its limit is ${memoryBytes ?? 0} bytes`;
  } else if (EXEC_FAILED_CODES.has(code)) {
    error = 'its command may not be executable; see its log';
  }
  const canBeAccess = code > 0 && code <= 128 && user !== undefined;
  const access = canBeAccess ? explainAccess(command, directory, user) : undefined;
  return access === undefined || error === undefined ? (access ?? error) : `${error}; ${access}`;
}
