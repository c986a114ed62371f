import { compareStates, isTerminal, type Task } from '@swarm/api';
import { isUp } from './observations.js';
import type { Pass } from './pass.js';
import { isLeaving, isLost } from './placement.js';
import { isMoved } from './stop.js';
import { parseTime } from './time.js';

/**
 * The tasks of one slot (for global services: of one node), sorted by what can be done with them. A live
 * task has a desired state up to RUNNING.
 */
export interface Slot {
  /** The slot's number or the node's id. */
  readonly key: string;
  readonly number: number;
  readonly nodeId: string | undefined;
  /** All tasks, oldest first. */
  readonly tasks: readonly Task[];
  /** Live tasks that ended by themselves. */
  readonly failed: readonly Task[];
  /** Live tasks whose node is down or gone, and those that the cluster took from their node. */
  readonly lost: readonly Task[];
  /** Live tasks that run or may still come to run. */
  readonly good: readonly Task[];
  /** The good task to end up with: of the current spec, on a node it may stay on. */
  readonly target: Task | undefined;
  /** Good tasks except the target: they stop when the target takes over. */
  readonly others: readonly Task[];
  /** Should stop, have not stopped yet, and are on a node that can still report it. */
  readonly stopping: readonly Task[];
}

const NONE: readonly Task[] = [];

/** Where a slot is: its number, and for global services its node. */
export interface Place {
  readonly key: string;
  readonly number: number;
  readonly nodeId?: string;
}

/** Sorts a slot's tasks, given in any order. */
export function inspectSlot(pass: Pass, place: Place, tasks: readonly Task[]): Slot {
  const [only] = tasks;
  // Fast path: a pass looks at every slot, and nearly all slots of a large service are like this.
  if (tasks.length === 1 && only !== undefined && isSettled(pass, only)) {
    return makeSlot(place, tasks, { good: tasks, target: only });
  }
  const sorted = [...tasks].sort(byAge);
  const failed: Task[] = [];
  const lost: Task[] = [];
  const good: Task[] = [];
  const stopping: Task[] = [];
  for (const task of sorted) {
    const ended = isTerminal(task.Status.State);
    if (compareStates(task.DesiredState, 'running') > 0) {
      if (!ended && isPlaced(task) && !isLost(pass.tx, task)) stopping.push(task);
    } else if (ended && task.Status.State !== 'orphaned' && !isMoved(task)) failed.push(task);
    else if (ended) lost.push(task);
    else if (isLost(pass.tx, task)) lost.push(task);
    else good.push(task);
  }
  const candidates = good.filter((task) => !isLeaving(pass.tx, task) && !pass.isDirty(task));
  // Of several, prefer one that is up already, else the newest, made to replace the rest.
  const target = candidates.find(isUp) ?? candidates.at(-1);
  const others = good.filter((task) => task !== target);
  return makeSlot(place, sorted, { failed, lost, good, target, others, stopping });
}

/** Whether the task's node knows of it. Before, there is nothing to stop. */
function isPlaced(task: Task): boolean {
  return compareStates(task.Status.State, 'assigned') >= 0;
}

/** Whether the task is clean, should run, has not ended, and may stay on its node. */
function isSettled(pass: Pass, task: Task): boolean {
  return (
    task.DesiredState === 'running' &&
    !isTerminal(task.Status.State) &&
    !isLost(pass.tx, task) &&
    !isLeaving(pass.tx, task) &&
    !pass.isDirty(task)
  );
}

/** Builds every slot with the same properties in the same order, which V8 runs faster. */
function makeSlot(place: Place, tasks: readonly Task[], parts: Partial<Slot>): Slot {
  return {
    key: place.key,
    number: place.number,
    nodeId: place.nodeId,
    tasks,
    failed: parts.failed ?? NONE,
    lost: parts.lost ?? NONE,
    good: parts.good ?? NONE,
    target: parts.target,
    others: parts.others ?? NONE,
    stopping: parts.stopping ?? NONE,
  };
}

/** Whether any of the slot's tasks is still wanted. */
export function isLive(slot: Slot): boolean {
  return slot.good.length + slot.lost.length + slot.failed.length > 0;
}

/** The task created last. */
export function newest(slot: Slot): Task | undefined {
  return slot.tasks.at(-1);
}

/** Older before younger. Within a millisecond: the older spec first, then the higher desired state. */
export function byAge(a: Task, b: Task): number {
  return (
    parseTime(a.CreatedAt) - parseTime(b.CreatedAt) ||
    a.SpecVersion.Index - b.SpecVersion.Index ||
    compareStates(b.DesiredState, a.DesiredState) ||
    (a.ID < b.ID ? -1 : 1)
  );
}
