import { compareStates, type Task } from '@swarm/api';
import {
  LISTEN_TIMEOUT_MS,
  PREPARE_PULL_TIMEOUT_MS,
  PREPARE_TIMEOUT_MS,
  READY_TIMEOUT_MIN_MS,
  STOP_MARGIN_MS,
  UNSCHEDULABLE_TIMEOUT_MS,
} from './limits.js';
import { isUp } from './observations.js';
import type { Pass } from './pass.js';
import { isUnguarded } from '../allocator/enforces-rules.js';
import { makesRoom } from './room.js';
import type { Slot } from './slot.js';
import type { UpdateRules } from './update-config.js';
import { stopGraceMs } from './stop.js';
import { parseTime, stateSince } from './time.js';

/** Reasons of the scheduler that cannot clear while the predecessor runs on the only fitting node. */
const BLOCKED_BY_PREDECESSOR = ['host-mode port already in use', 'max replicas per node'];

/** Since when nothing of ours holds the task back: its creation, or the end of its restart delay. */
function waitsSince(task: Task): number {
  return Math.max(parseTime(task.CreatedAt), parseTime(task.Restart?.NotBefore));
}

/** Whether the restart delay is over; if not, repeats the pass then. */
export function isDue(pass: Pass, task: Task): boolean {
  const due = parseTime(task.Restart?.NotBefore);
  if (pass.now >= due) return true;
  pass.wakeAt(due);
  return false;
}

/**
 * Whether a task that ended may be replaced now. One that failed during preparation is not replaced before its
 * own delay is over, unless by another spec: a successor would be prepared, and fail, at once.
 */
export function isReplaceable(pass: Pass, ended: Task): boolean {
  return !pass.isRepeated(ended) || isDue(pass, ended);
}

/**
 * Stop-first: whether the predecessors may be stopped. They may when the replacement is prepared; when it
 * cannot be placed and stopping them makes room for it; and, so that an update never hangs, when its node takes
 * too long to prepare it. The limit is longer while the agent is preparing (pulling an image). A replacement
 * that no node will take is not a reason to stop what runs, unless that is open to clients whom its service does not
 * admit.
 */
export function mayTakeOver(pass: Pass, task: Task, predecessors: readonly Task[]): boolean {
  const { State, Err } = task.Status;
  if (compareStates(State, 'ready') >= 0) return true;
  if (compareStates(State, 'assigned') < 0)
    return (
      State === 'pending' &&
      Err !== undefined &&
      (isAnyUnguarded(pass, predecessors) || makesRoom(pass, task, predecessors))
    );
  const boundMs = State === 'preparing' ? PREPARE_PULL_TIMEOUT_MS : PREPARE_TIMEOUT_MS;
  return isPast(pass, Math.max(waitsSince(task), stateSince(task, pass.now)) + boundMs);
}

/** Start-first: whether the replacement cannot be placed while its predecessors run (MB#36934). */
export function isBlockedByPredecessor(
  pass: Pass,
  task: Task,
  predecessors: readonly Task[],
): boolean {
  const { State, Err } = task.Status;
  if (State !== 'pending' || !Err) return false;
  if (isAnyUnguarded(pass, predecessors)) return true;
  const isBlocked = BLOCKED_BY_PREDECESSOR.some((reason) => Err.includes(reason));
  return isBlocked && makesRoom(pass, task, predecessors);
}

/** Whether one of the tasks is where nobody enforces who may connect to it. */
function isAnyUnguarded(pass: Pass, tasks: readonly Task[]): boolean {
  return tasks.some(({ NodeID = '' }) => isUnguarded(pass.service, pass.tx.get('node', NodeID)));
}

/** Whether the task is up, or has run without listening on its ports for so long that waiting ends. */
export function isServing(pass: Pass, slot: Slot, task: Task, rules: UpdateRules): boolean {
  return isUp(task) || isNotListening(pass, slot, task, rules);
}

/** Whether the task runs but has not started listening on its ports in time. */
export function isNotListening(pass: Pass, slot: Slot, task: Task, rules: UpdateRules): boolean {
  if (task.Status.State !== 'running' || task.Status.Ready !== false) return false;
  const since = pass.observations.runningSince(task) ?? pass.now;
  return isPast(pass, since + listenTimeoutMs(pass, slot, task, rules));
}

/**
 * How long a running task may take to listen on its ports, milliseconds. Longer when another task of the
 * slot did listen: this one should too, and going on earlier would stop a task that still serves.
 */
export function listenTimeoutMs(pass: Pass, slot: Slot, task: Task, rules: UpdateRules): number {
  const isExpected = slot.tasks.some(
    (other) => other !== task && pass.observations.hasListened(other),
  );
  return Math.max(rules.monitorMs, isExpected ? LISTEN_TIMEOUT_MS : READY_TIMEOUT_MIN_MS);
}

/** Whether the task has been unplaced for so long that an update counts it as failed. */
export function isUnschedulable(pass: Pass, task: Task): boolean {
  if (compareStates(task.Status.State, 'assigned') >= 0) return false;
  return isPast(pass, waitsSince(task) + UNSCHEDULABLE_TIMEOUT_MS);
}

/** Whether all stopping tasks have used up their grace period and margin, so waiting ends. */
export function isStopOverdue(pass: Pass, stopping: readonly Task[]): boolean {
  return stopping.every((task) => {
    const since = pass.observations.stoppingSince(task) ?? pass.now;
    return isPast(pass, stopLimit(task, since));
  });
}

/** When waiting for a task that has to stop ends, if it was asked to at `since`. */
export function stopLimit(task: Task, since: number): number {
  return since + stopGraceMs(task) + STOP_MARGIN_MS;
}

/** Whether the time has come; if not, repeats the pass then. */
export function isPast(pass: Pass, time: number): boolean {
  if (pass.now >= time) return true;
  pass.wakeAt(time);
  return false;
}
