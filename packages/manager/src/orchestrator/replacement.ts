import type { Task, TaskState } from '@swarm/api';
import { DRAIN_SWITCH_TIMEOUT_MS } from './limits.js';
import { isUp } from './observations.js';
import type { Pass } from './pass.js';
import { isLeaving } from './placement.js';
import { allowsRestart, planRestart, shouldRestart } from './restart.js';
import { newest, type Slot } from './slot.js';
import { parseTime } from './time.js';
import { currentRules, isPaused, updateRules } from './update-config.js';
import { isBlockedByPredecessor, isDue, isServing, isStopOverdue, mayTakeOver } from './waiting.js';

/** What may be done to a slot besides finishing what was started. */
export interface SlotRules {
  /** Whether the slot may get new tasks. False for a global service's paused node. */
  readonly mayCreate: boolean;
  /** Whether a task on a draining node is replaced elsewhere. False for global services. */
  readonly movesAway: boolean;
  /** How many more slots may switch away from draining nodes now; shared by all slots of a pass. */
  readonly drains: { left: number };
}

/**
 * Takes a slot forward by at most one step: clears away what ended or was lost, and hands over from the
 * old task to its replacement. The tasks alone determine which step comes next:
 *
 * | live tasks | next |
 * | --- | --- |
 * | old runs, new desired READY | stop-first: when new is prepared, stop old |
 * | old runs, new desired RUNNING | start-first: when new serves, stop old |
 * | new desired READY, alone | when its delay is over and old has stopped, make it RUNNING |
 */
export function advanceSlot(pass: Pass, slot: Slot, rules: SlotRules): void {
  // A failure or loss takes two or three changes, which must be made together or not at all.
  if (!pass.hasRoom(slot.good.length + slot.lost.length + slot.failed.length + 1)) return;
  if (slot.failed.length > 0 || slot.lost.length > 0) clear(pass, slot, rules);
  else if (slot.target === undefined) moveAway(pass, slot, rules);
  else if (slot.others.length > 0) handOver(pass, slot, slot.target, rules);
  else release(pass, slot, slot.target);
}

/** Lets a prepared task run once its delay is over and its predecessor has stopped. */
function release(pass: Pass, slot: Slot, target: Task): void {
  if (target.DesiredState !== 'ready' || !isDue(pass, target)) return;
  if (slot.stopping.length > 0 && !isStopOverdue(pass, slot.stopping)) return;
  set(pass, slot, target, 'running');
}

/** Creates the replacement of what runs in the slot, in the given order. */
export function startReplacement(
  pass: Pass,
  slot: Slot,
  order: 'stop-first' | 'start-first',
): void {
  if (!pass.hasRoom(1)) return;
  const hasPredecessor = slot.good.length > 0 || slot.stopping.length > 0;
  create(pass, slot, order === 'stop-first' && hasPredecessor ? 'ready' : 'running');
}

/** Fills an empty slot. The new task waits for those that are still stopping there. */
export function fillSlot(pass: Pass, slot: Slot): void {
  if (pass.hasRoom(1)) create(pass, slot, slot.stopping.length > 0 ? 'ready' : 'running');
}

/** Gives up failed and lost tasks, and replaces them unless another task of the slot goes on. */
function clear(pass: Pass, slot: Slot, rules: SlotRules): void {
  const failed = slot.failed.at(-1);
  const lost = slot.lost.at(-1);
  if (!rules.mayCreate && slot.good.length === 0) return;
  // A task that failed during preparation is not replaced before its own delay is over: its successor
  // would be prepared, and fail, at once.
  if (failed !== undefined && lost === undefined && !isDue(pass, failed)) return;
  for (const task of [...slot.failed, ...slot.lost]) set(pass, slot, task, 'shutdown');
  if (slot.target !== undefined) return;
  if (slot.good.length > 0) {
    // A replacement failed while the old task goes on: try again with back-off if it is still wanted.
    const isWanted = !isPaused(pass.service) || slot.good.some((task) => isLeaving(pass.tx, task));
    if (failed !== undefined && isWanted && shouldRestart(failed, slot.tasks, pass.now)) {
      restart(pass, slot, failed);
    }
  } else if (lost !== undefined) {
    // The node's fault, not the task's: no delay, and it does not count as an attempt.
    if (rules.movesAway && allowsRestart(lost)) create(pass, slot, 'running');
  } else if (failed !== undefined && shouldRestart(failed, slot.tasks, pass.now)) {
    restart(pass, slot, failed);
  }
}

/** Replaces tasks on draining nodes in a slot without a target; the updater sees to outdated ones. */
function moveAway(pass: Pass, slot: Slot, rules: SlotRules): void {
  const leaving = slot.good.filter((task) => isLeaving(pass.tx, task));
  const last = leaving.at(-1);
  if (last === undefined) {
    // Several outdated tasks: one is enough until the update reaches this slot.
    const kept = slot.good.find(isUp) ?? slot.good.at(-1);
    for (const task of slot.good) if (task !== kept) set(pass, slot, task, 'shutdown');
    return;
  }
  const staying = slot.good.filter((task) => !leaving.includes(task));
  if (!rules.movesAway) {
    for (const task of leaving) set(pass, slot, task, 'shutdown');
    return;
  }
  if (staying.length > 0 || !allowsRestart(last) || gaveUp(slot, pass.now)) {
    for (const task of leaving) set(pass, slot, task, 'shutdown');
    return;
  }
  // A replacement that must itself leave its node and serves nobody yet is not worth keeping.
  const kept = leaving.find(isUp) ?? leaving[0];
  for (const task of leaving) if (task !== kept) set(pass, slot, task, 'shutdown');
  const { order } = updateRules(pass.service.Spec.UpdateConfig);
  create(
    pass,
    slot,
    order === 'start-first' ? 'running' : 'ready',
    'moves away from a draining node',
  );
}

/** Lets `target` take the place of the slot's other good tasks. */
function handOver(pass: Pass, slot: Slot, target: Task, rules: SlotRules): void {
  const leaving = slot.others.filter((task) => isLeaving(pass.tx, task));
  const outdated = slot.others.filter((task) => !leaving.includes(task) && pass.isDirty(task));
  const surplus = slot.others.filter((task) => !leaving.includes(task) && !outdated.includes(task));
  const abandoned = outdated.filter((task) => slot.good.indexOf(task) > slot.good.indexOf(target));
  const useless = [...surplus, ...abandoned];
  if (useless.length > 0) {
    for (const task of useless) set(pass, slot, task, 'shutdown');
    return;
  }
  if (isPaused(pass.service) && leaving.length === 0 && !isUp(target)) {
    // Nothing was stopped for the target yet, and a paused update keeps what runs.
    set(pass, slot, target, 'shutdown');
    return;
  }
  const update = currentRules(pass.service);
  if (isServing(pass, slot, target, update)) {
    for (const task of slot.others) set(pass, slot, task, 'shutdown');
    return;
  }
  if (!isDue(pass, target)) return;
  const order =
    leaving.length > 0 ? updateRules(pass.service.Spec.UpdateConfig).order : update.order;
  if (target.DesiredState !== 'ready') {
    if (!isBlockedByPredecessor(target)) return;
  } else if (order === 'start-first') {
    set(pass, slot, target, 'running');
    return;
  } else {
    if (!mayTakeOver(pass, target)) return;
    if (leaving.length > 0 && rules.drains.left-- <= 0) return;
  }
  for (const task of slot.others) set(pass, slot, task, 'shutdown');
}

/**
 * How many slots may switch away from draining nodes now, so that a drain never takes down more of a
 * stop-first service at once than an update would.
 */
export function drainAllowance(pass: Pass, slots: readonly Slot[]): { left: number } {
  const { parallelism } = updateRules(pass.service.Spec.UpdateConfig);
  if (parallelism === 0) return { left: Number.POSITIVE_INFINITY };
  let switching = 0;
  for (const slot of slots) {
    if (slot.target === undefined || slot.others.length > 0 || isUp(slot.target)) continue;
    if (slot.tasks.length === 1 || slot.target.Restart !== undefined) continue;
    const until = parseTime(slot.target.CreatedAt) + DRAIN_SWITCH_TIMEOUT_MS;
    if (pass.now >= until) continue;
    pass.wakeAt(until);
    switching++;
  }
  return { left: Math.max(0, parallelism - switching) };
}

/** Whether the slot's newest task ended by itself and must not be tried again. */
export function gaveUp(slot: Slot, now: number): boolean {
  const last = newest(slot);
  if (last === undefined || slot.good.includes(last)) return false;
  const { State } = last.Status;
  const hasEnded = State === 'failed' || State === 'rejected' || State === 'complete';
  return hasEnded && !shouldRestart(last, slot.tasks, now);
}

function restart(pass: Pass, slot: Slot, ended: Task): void {
  const plan = planRestart(slot, ended, pass.now, pass.observations);
  pass.create({ ...place(slot), desiredState: 'ready', ...plan });
  pass.markChanged(slot.key);
}

function create(pass: Pass, slot: Slot, desiredState: TaskState, message = 'created'): void {
  pass.create({ ...place(slot), desiredState, message });
  pass.markChanged(slot.key);
}

function set(pass: Pass, slot: Slot, task: Task, state: TaskState): void {
  pass.setDesired(task, state);
  pass.markChanged(slot.key);
}

function place(slot: Slot): { slot: number; nodeId?: string } {
  return { slot: slot.number, ...(slot.nodeId !== undefined && { nodeId: slot.nodeId }) };
}
