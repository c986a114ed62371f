import { compareStates, isTerminal, type Task } from '@swarm/api';
import { isUp } from './observations.js';
import type { Pass } from './pass.js';
import { isLeaving, isLost } from './placement.js';
import { parseTime } from './time.js';

/**
 * The tasks of one slot (of one node, for global services), sorted by what can be done with them. `live`
 * means: desired to run, or to be made ready to run.
 */
export interface Slot {
  /** The slot's number or the node's id. */
  readonly key: string;
  readonly number: number;
  readonly nodeId?: string;
  /** All tasks, oldest first. */
  readonly tasks: readonly Task[];
  /** Live tasks that ended by themselves. */
  readonly failed: readonly Task[];
  /** Live tasks whose node is down or gone, orphaned ones included. */
  readonly lost: readonly Task[];
  /** Live tasks that run or can come to run. */
  readonly good: readonly Task[];
  /** The good task to end up with: of the present spec, on a node it may stay on. */
  readonly target: Task | undefined;
  /** Good tasks without the target: to be stopped when the target takes over. */
  readonly others: readonly Task[];
  /** Asked to stop, not yet stopped, and on a node that can still tell. */
  readonly stopping: readonly Task[];
}

/** Sorts a slot's tasks. `tasks` may come in any order. */
export function inspectSlot(
  pass: Pass,
  place: { key: string; number: number; nodeId?: string },
  tasks: readonly Task[],
): Slot {
  const sorted = [...tasks].sort(byAge);
  const failed: Task[] = [];
  const lost: Task[] = [];
  const good: Task[] = [];
  const stopping: Task[] = [];
  for (const task of sorted) {
    const ended = isTerminal(task.Status.State);
    if (compareStates(task.DesiredState, 'running') > 0) {
      if (!ended && !isLost(pass.tx, task)) stopping.push(task);
    } else if (ended && task.Status.State !== 'orphaned') failed.push(task);
    else if (isLost(pass.tx, task)) lost.push(task);
    else good.push(task);
  }
  const candidates = good.filter((task) => !isLeaving(pass.tx, task) && !pass.isDirty(task));
  // Of several, the one that serves already; else the one that was meant to replace the rest.
  const target = candidates.find(isUp) ?? candidates.at(-1);
  const others = good.filter((task) => task !== target);
  return { ...place, tasks: sorted, failed, lost, good, target, others, stopping };
}

/** Whether any of the slot's tasks is still wanted. */
export function isLive(slot: Slot): boolean {
  return slot.good.length + slot.lost.length + slot.failed.length > 0;
}

/** The task made last. */
export function newest(slot: Slot): Task | undefined {
  return slot.tasks.at(-1);
}

/** Older before younger. Within a millisecond: the one with the older spec, then the one wanted less. */
export function byAge(a: Task, b: Task): number {
  return (
    parseTime(a.CreatedAt) - parseTime(b.CreatedAt) ||
    a.SpecVersion.Index - b.SpecVersion.Index ||
    compareStates(b.DesiredState, a.DesiredState) ||
    (a.ID < b.ID ? -1 : 1)
  );
}
