import {
  compareStates,
  isTerminal,
  type Nanoseconds,
  MS,
  type Service,
  type Task,
  type TaskState,
  type TaskStop,
} from '@swarm/api';
import { DEFAULT_STOP_GRACE_MS } from './limits.js';
import { formatTime, laterTime, toMs } from './time.js';

/** Why the cluster stops a task. */
export type StopCause = Pick<TaskStop, 'Reason' | 'Moved'>;

export const DRAINED: StopCause = { Reason: 'its node is drained', Moved: true };
export const NODE_DOWN: StopCause = { Reason: 'its node is down', Moved: true };
export const NODE_GONE: StopCause = { Reason: 'its node was removed', Moved: true };
export const ORPHANED: StopCause = { Reason: 'its node was down for too long', Moved: true };
export const MISPLACED: StopCause = {
  Reason: "its node does not meet the service's constraints",
  Moved: true,
};
export const OVERCOMMITTED: StopCause = {
  Reason: 'its node has too little CPU or memory',
  Moved: true,
};
export const UPDATED: StopCause = { Reason: 'replaced by an update' };
export const ROLLED_BACK: StopCause = { Reason: 'replaced by a rollback' };
export const WITHDRAWN: StopCause = { Reason: 'another update or rollback made it obsolete' };
export const PAUSED: StopCause = { Reason: 'the update was paused before it took over' };
export const SURPLUS: StopCause = { Reason: 'another task of its slot is kept' };
export const GIVEN_UP: StopCause = { Reason: 'its node is drained, and its replacements failed' };
export const SERVICE_REMOVED: StopCause = { Reason: 'its service was removed' };
export const JOB_REPEATED: StopCause = { Reason: 'its job was started again' };

/** Whether the cluster took the task from its node: it may have ended, but not by itself. */
export function isMoved(task: Task): boolean {
  return task.Stop?.Moved === true;
}

/** Whether the task ended by itself, well or not. */
export function endedByItself(task: Task): boolean {
  const { State } = task.Status;
  return (State === 'failed' || State === 'rejected' || State === 'complete') && !isMoved(task);
}

/** Grace period of the task's stop, milliseconds. */
export function stopGraceMs(task: Task): number {
  return toMs(
    task.Stop?.GracePeriod ?? task.Spec.ContainerSpec?.StopGracePeriod,
    DEFAULT_STOP_GRACE_MS,
  );
}

/**
 * How to stop a task. Settings of the current spec hold for a task that no update has to replace. A task
 * that has to be replaced gets the longer grace period of both specs, and the current signal only if its
 * image is the current one: a signal belongs to the program that handles it.
 */
export function stopOf(
  service: Service | undefined,
  task: Task,
  isDirty: boolean,
  { Reason, Moved }: StopCause,
): TaskStop {
  const why = { Reason, ...(Moved === true && { Moved }) };
  if (service === undefined) return why;
  const own = task.Spec.ContainerSpec;
  const current = service.Spec.TaskTemplate.ContainerSpec;
  const ownGrace = own?.StopGracePeriod ?? DEFAULT_GRACE;
  const currentGrace = current?.StopGracePeriod ?? DEFAULT_GRACE;
  const grace = isDirty ? Math.max(ownGrace, currentGrace) : currentGrace;
  const isSameProgram = !isDirty || own?.Image === current?.Image;
  // An empty signal stands for the default one.
  const signal = (isSameProgram ? current : own)?.StopSignal ?? '';
  return {
    ...why,
    ...(grace !== ownGrace && { GracePeriod: grace }),
    ...(signal !== (own?.StopSignal ?? '') && { Signal: signal }),
  };
}

const DEFAULT_GRACE: Nanoseconds = DEFAULT_STOP_GRACE_MS * MS;

/**
 * Returns the task with a desired state that stops it. A task that no node was given has nothing to stop: it
 * ends at once. The first reason for a stop stays.
 */
export function stopTask(
  task: Task,
  desired: Extract<TaskState, 'shutdown' | 'remove'>,
  stop: TaskStop,
  nowMs: number,
): Task {
  const asked: Task = { ...task, DesiredState: desired };
  const { Status } = task;
  if (isTerminal(Status.State) || task.Stop !== undefined) return asked;
  const stopping: Task = { ...asked, Stop: stop };
  if (compareStates(Status.State, 'assigned') >= 0)
    return { ...stopping, Status: { ...Status, Message: `stopping: ${stop.Reason}` } };
  return {
    ...stopping,
    Status: {
      ...Status,
      State: 'shutdown',
      Message: `not placed before it was stopped: ${stop.Reason}`,
      Timestamp: laterTime(Status.Timestamp, nowMs),
      AppliedAt: formatTime(nowMs),
    },
  };
}
