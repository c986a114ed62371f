import { backoffMs, isTerminal, type Task, type TaskRestart } from '@swarm/api';
import {
  DEFAULT_RESTART_DELAY_MS,
  RESTART_BACKOFF_BASE_MS,
  RESTART_BACKOFF_MAX_MS,
  RESTART_STREAK_RESET_MS,
} from './limits.js';
import type { Observations } from './observations.js';
import type { Slot } from './slot.js';
import { formatTime, parseTime, stateSince, toMs } from './time.js';

/** Whether the policy's condition lets a task that ended (or has to move) be replaced. Ignores attempts. */
export function allowsRestart(task: Task): boolean {
  switch (task.Spec.RestartPolicy?.Condition ?? 'any') {
    case 'none':
      return false;
    case 'on-failure':
      return task.Status.State !== 'complete';
    case 'any':
      return true;
  }
}

/**
 * Whether a task that ended must be replaced, by its restart condition and the attempts made in its slot
 * under its SpecVersion: all of them, or those within the policy's window.
 */
export function shouldRestart(task: Task, slotTasks: readonly Task[], now: number): boolean {
  if (!allowsRestart(task)) return false;
  const limit = task.Spec.RestartPolicy?.MaxAttempts ?? 0;
  if (limit <= 0) return true;
  const windowMs = toMs(task.Spec.RestartPolicy?.Window, 0);
  const restarts = slotTasks.filter(
    (other) => other.Restart !== undefined && other.SpecVersion.Index === task.SpecVersion.Index,
  );
  if (windowMs <= 0) return attempts(restarts) < limit;
  const until = isTerminal(task.Status.State) ? stateSince(task, now) : now;
  const recent = restarts.filter((other) => {
    const created = parseTime(other.CreatedAt);
    return created >= until - windowMs && created <= until;
  });
  return recent.length < limit;
}

/** What the replacement of an ended task waits for. */
export interface Restart {
  readonly restart: TaskRestart;
  /** For the status of the replacement. */
  readonly message: string;
}

/**
 * Plans the back-off for the replacement of `task`: the configured delay, doubled with each further failure
 * in a row up to 60 s (a longer configured delay stays as it is). A task that ended well, or lived longer
 * than the policy's window (5 minutes without one), starts a new count.
 */
export function planRestart(slot: Slot, task: Task, now: number, memory: Observations): Restart {
  const policy = task.Spec.RestartPolicy;
  const delayMs = toMs(policy?.Delay, DEFAULT_RESTART_DELAY_MS);
  const failures = failuresInRow(task, now, memory);
  const waitMs = restartDelayMs(delayMs, failures);
  const made = slot.tasks.filter((other) => other.SpecVersion.Index === task.SpecVersion.Index);
  const wait = `waiting ${Number((waitMs / 1000).toFixed(1))}s before restart`;
  return {
    restart: {
      Attempts: attempts(made) + 1,
      Failures: failures,
      NotBefore: formatTime(now + waitMs),
    },
    message: failures > 1 ? `${wait} (${failures} failures in a row)` : wait,
  };
}

/** Wait before a restart after this many failures in a row, milliseconds. */
export function restartDelayMs(delayMs: number, failures: number): number {
  if (failures <= 1 || delayMs >= RESTART_BACKOFF_MAX_MS) return delayMs;
  const step = Math.max(delayMs, RESTART_BACKOFF_BASE_MS);
  return backoffMs(failures, { minMs: step, maxMs: RESTART_BACKOFF_MAX_MS });
}

function failuresInRow(task: Task, now: number, memory: Observations): number {
  if (task.Status.State !== 'failed' && task.Status.State !== 'rejected') return 0;
  const windowMs = toMs(task.Spec.RestartPolicy?.Window, 0) || RESTART_STREAK_RESET_MS;
  const began =
    memory.runningSince(task) ??
    Math.max(parseTime(task.CreatedAt), parseTime(task.Restart?.NotBefore));
  const livedMs = stateSince(task, now) - began;
  return livedMs >= windowMs ? 1 : (task.Restart?.Failures ?? 0) + 1;
}

function attempts(tasks: readonly Task[]): number {
  return tasks.reduce((most, task) => Math.max(most, task.Restart?.Attempts ?? 0), 0);
}
