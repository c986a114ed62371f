import type { Task, TaskState } from './objects/task.js';

/** Order of progress, with Docker's gaps (SwarmKit api/types.proto TaskState). */
const ORDER: Readonly<Record<TaskState, number>> = {
  new: 0,
  pending: 64,
  assigned: 192,
  accepted: 256,
  preparing: 320,
  ready: 384,
  starting: 448,
  running: 512,
  complete: 576,
  shutdown: 640,
  failed: 704,
  rejected: 768,
  remove: 800,
  orphaned: 832,
};

/** Negative when `a` comes before `b`, 0 when equal. */
export function compareStates(a: TaskState, b: TaskState): number {
  return ORDER[a] - ORDER[b];
}

/** Whether a task in this observed state will never run again. */
export function isTerminal(state: TaskState): boolean {
  return ORDER[state] > ORDER.running;
}

/** Whether the task should run (or be prepared to run) and still can. */
export function isRunnable(task: Task): boolean {
  return ORDER[task.DesiredState] <= ORDER.running && !isTerminal(task.Status.State);
}

/** Whether a string names a task state. */
export function isTaskState(value: string): value is TaskState {
  return Object.hasOwn(ORDER, value);
}
