import { compareStates, type Task } from '@swarm/api';
import type { View } from '../../store/store.js';
import { taskConflict } from './port-conflicts.js';

/**
 * A task as the API shows it: without registry credentials, and with the wait when it waits to replace a task
 * that ended. Its agent reports only that the task is ready, and does not know why it may not start. One that
 * runs says which of its ports its node does not serve.
 * @param nowMs the store's time, milliseconds since the epoch
 */
export function presentTask(view: View, task: Task, nowMs: number): Task {
  const { RegistryAuth: _, ...spec } = task.Spec;
  const wait = restartWait(task, nowMs);
  if (wait === undefined) {
    const conflict = task.Status.Err === undefined ? taskConflict(view, task) : undefined;
    if (conflict === undefined) return { ...task, Spec: spec };
    return { ...task, Spec: spec, Status: { ...task.Status, Err: conflict } };
  }
  const { Err = wait } = task.Status;
  return { ...task, Spec: spec, Status: { ...task.Status, Message: wait, Err } };
}

/** `waiting 5s before restart 2 of 3 (2 failures in a row)`; undefined when no restart delay applies. */
function restartWait(
  { DesiredState, Status, Restart, Spec }: Task,
  nowMs: number,
): string | undefined {
  if (Restart === undefined || DesiredState !== 'ready') return undefined;
  if (compareStates(Status.State, 'ready') > 0) return undefined;
  const leftMs = Date.parse(Restart.NotBefore) - nowMs;
  if (!(leftMs > 0)) return undefined;
  const failures = Restart.Failures > 1 ? ` (${Restart.Failures} failures in a row)` : '';
  const limit = Spec.RestartPolicy?.MaxAttempts ?? 0;
  const which = limit > 0 && Restart.Attempts > 0 ? ` ${Restart.Attempts} of ${limit}` : '';
  return `waiting ${Math.ceil(leftMs / 1000)}s before restart${which}${failures}`;
}
