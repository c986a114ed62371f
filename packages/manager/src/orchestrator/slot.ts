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
  readonly nodeId: string | undefined;
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

const NONE: readonly Task[] = [];

/** Where a slot is: its number, and for global services its node. */
export interface Place {
  readonly key: string;
  readonly number: number;
  readonly nodeId?: string;
}

/** Sorts a slot's tasks. `tasks` may come in any order. */
export function inspectSlot(pass: Pass, place: Place, tasks: readonly Task[]): Slot {
  const [only] = tasks;
  // Nearly all slots of a large service are like this, and a pass looks at every one of them.
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
      if (!ended && !isLost(pass.tx, task)) stopping.push(task);
    } else if (ended && task.Status.State !== 'orphaned') failed.push(task);
    else if (isLost(pass.tx, task)) lost.push(task);
    else good.push(task);
  }
  const candidates = good.filter((task) => !isLeaving(pass.tx, task) && !pass.isDirty(task));
  // Of several, the one that serves already; else the one that was meant to replace the rest.
  const target = candidates.find(isUp) ?? candidates.at(-1);
  const others = good.filter((task) => task !== target);
  return makeSlot(place, sorted, { failed, lost, good, target, others, stopping });
}

/** A clean task, wished to run, that has not ended, on a node where it may stay. */
function isSettled(pass: Pass, task: Task): boolean {
  return (
    task.DesiredState === 'running' &&
    !isTerminal(task.Status.State) &&
    !isLost(pass.tx, task) &&
    !isLeaving(pass.tx, task) &&
    !pass.isDirty(task)
  );
}

/** All slots have one shape, which the engine runs faster. */
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
