import { backoffMs, type RestartPolicy, type Task, type TaskRestart } from '@swarm/api';
import {
  DEFAULT_RESTART_DELAY_MS,
  RESTART_BACKOFF_BASE_MS,
  RESTART_BACKOFF_MAX_MS,
  RESTART_STREAK_RESET_MS,
} from './limits.js';
import type { Pass } from './pass.js';
import { formatTime, parseTime, stateSince, toMs } from './time.js';

/** The policy in force: that of the spec which new tasks are made of, whichever spec a task was made from. */
function policyOf(pass: Pass): RestartPolicy {
  return pass.source.Spec.TaskTemplate.RestartPolicy ?? {};
}

/** Whether the policy's condition lets a task that ended be replaced. Ignores attempts. */
export function allowsRestart(pass: Pass, task: Task): boolean {
  switch (policyOf(pass).Condition ?? 'any') {
    case 'none':
      return false;
    case 'on-failure':
      return task.Status.State !== 'complete';
    case 'any':
      return true;
  }
}

/** Whether a task that ended must be replaced, by the restart condition and the attempts made so far. */
export function shouldRestart(pass: Pass, task: Task): boolean {
  if (!allowsRestart(pass, task)) return false;
  const limit = policyOf(pass).MaxAttempts ?? 0;
  // What a paused update falls back to has attempts of its own.
  if (pass.source !== pass.service && !pass.isRepeated(task)) return true;
  return limit <= 0 || attemptsMade(pass, task) < limit;
}

/**
 * Restarts that led to this task since the slot was last healthy. With a window, a task that ran that long
 * was healthy; without one the count only starts again with a new spec. Back-off may take longer than the
 * window, so time alone forgets nothing.
 */
function attemptsMade(pass: Pass, task: Task): number {
  const windowMs = toMs(policyOf(pass).Window, 0);
  if (windowMs > 0 && livedMs(pass, task) >= windowMs) return 0;
  return task.Restart?.Attempts ?? 0;
}

/** Why a task that ended is not replaced, for its status; undefined when it ended as it should. */
export function refusalNote(pass: Pass, task: Task): string | undefined {
  const { Condition = 'any', MaxAttempts = 0 } = policyOf(pass);
  if (task.Status.State === 'complete' && Condition !== 'any') return undefined;
  if (Condition === 'none') return 'not restarted: the restart condition is none';
  const all = MaxAttempts === 1 ? 'its restart was' : `all ${MaxAttempts} restarts were`;
  return `not restarted: ${all} used up; update the service to try again`;
}

/** What the replacement of an ended task waits for. */
export interface Restart {
  readonly restart: TaskRestart;
  /** For the status of the replacement. */
  readonly message: string;
}

/**
 * Plans the replacement of `task`, which has ended. Attempts and back-off belong to a spec: where a task of
 * another spec takes its place (a rollback, the fallback of a pause, the next update), it starts at once.
 * Otherwise plans the back-off: the configured delay, doubled with each further failure
 * in a row up to 60 s (a longer configured delay stays as it is). A task that ended well, or ran for the
 * policy's window (5 minutes without one), starts a new count.
 * @returns undefined when the replacement waits for nothing
 */
export function planRestart(pass: Pass, task: Task): Restart | undefined {
  if (!pass.isRepeated(task)) return undefined;
  const { Delay, MaxAttempts = 0 } = policyOf(pass);
  const failures = failuresInRow(pass, task);
  const waitMs = restartDelayMs(toMs(Delay, DEFAULT_RESTART_DELAY_MS), failures);
  const attempts = attemptsMade(pass, task) + 1;
  const which =
    MaxAttempts > 0 && attempts > 0 ? `restart ${attempts} of ${MaxAttempts}` : 'restart';
  const wait = `waiting ${Number((waitMs / 1000).toFixed(1))}s before ${which}`;
  return {
    restart: {
      Attempts: attempts,
      Failures: failures,
      NotBefore: formatTime(pass.now + waitMs),
    },
    message: failures > 1 ? `${wait} (${failures} failures in a row)` : wait,
  };
}

/**
 * What the replacement of a task that is moved takes over: its attempts and its wait, to which the move adds
 * nothing. Undefined when there is nothing to take over.
 */
export function restartOfMoved(pass: Pass, task: Task): TaskRestart | undefined {
  return pass.isRepeated(task) ? task.Restart : undefined;
}

/** Wait before a restart after this many failures in a row, milliseconds. */
export function restartDelayMs(delayMs: number, failures: number): number {
  if (failures <= 1 || delayMs >= RESTART_BACKOFF_MAX_MS) return delayMs;
  const step = Math.max(delayMs, RESTART_BACKOFF_BASE_MS);
  return backoffMs(failures, { minMs: step, maxMs: RESTART_BACKOFF_MAX_MS });
}

function failuresInRow(pass: Pass, task: Task): number {
  if (task.Status.State !== 'failed' && task.Status.State !== 'rejected') return 0;
  const windowMs = toMs(policyOf(pass).Window, 0) || RESTART_STREAK_RESET_MS;
  return livedMs(pass, task) >= windowMs ? 1 : (task.Restart?.Failures ?? 0) + 1;
}

/** How long an ended task ran, milliseconds; 0 when no manager saw it run. */
function livedMs(pass: Pass, task: Task): number {
  const since = pass.observations.runningSince(task);
  return since === undefined ? 0 : Math.max(0, stateSince(task, pass.now) - since);
}

/** Whether the task waits for its turn in a back-off. */
export function isBackingOff(task: Task, now: number): boolean {
  return parseTime(task.Restart?.NotBefore) > now;
}
