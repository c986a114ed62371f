import type { Task, TaskRestart, TaskState } from '@swarm/api';
import { DRAIN_SWITCH_TIMEOUT_MS } from './limits.js';
import { isUp } from './observations.js';
import type { Pass } from './pass.js';
import { isLeaving } from './placement.js';
import {
  isBackingOff,
  planRestart,
  refusalNote,
  restartOfMoved,
  shouldRestart,
} from './restart.js';
import { isLive, newest, type Slot } from './slot.js';
import {
  DRAINED,
  endedByItself,
  GIVEN_UP,
  isMoved,
  NODE_DOWN,
  NODE_GONE,
  ORPHANED,
  PAUSED,
  ROLLED_BACK,
  type StopCause,
  SURPLUS,
  UPDATED,
  WITHDRAWN,
} from './stop.js';
import { formatTime, parseTime } from './time.js';
import { isOnTrial } from './trial.js';
import { currentRules, isPaused, isRollback, isUpdating, updateRules } from './update-config.js';
import {
  isBlockedByPredecessor,
  isDue,
  isReplaceable,
  isServing,
  isStopOverdue,
  mayTakeOver,
  stopLimit,
} from './waiting.js';

/** What may be done to a slot besides finishing what was started. */
export interface SlotRules {
  /** Whether the slot may get new tasks. False for a global service's paused node. */
  readonly mayCreate: boolean;
  /** Whether a task on a draining node is replaced elsewhere. False for global services. */
  readonly movesAway: boolean;
  /** How many more slots may switch away from draining nodes now; shared by all slots of a pass. */
  readonly drains: { left: number };
  /** How many more slots a rollback may take down now; shared by all slots of a pass. */
  readonly rollback: { left: number };
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
  if (target.DesiredState !== 'ready') return;
  if (isPaused(pass.service) && !pass.isRepeated(target)) {
    // It never started, so what the paused update falls back to takes its place.
    stop(pass, slot, [target], PAUSED);
    create(pass, slot, firstState(pass, slot), `takes over from task ${target.ID}`);
    return;
  }
  if (!isDue(pass, target)) return;
  if (firstState(pass, slot) === 'ready' && !isStopOverdue(pass, slot.stopping)) return;
  run(pass, slot, target);
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
  if (pass.hasRoom(1)) create(pass, slot, firstState(pass, slot));
}

/** The first desired state of a task in a slot where nothing is wanted: it waits for those that still stop. */
function firstState({ service }: Pass, slot: Slot): 'ready' | 'running' {
  // A roll-out in this order lets the slot's tasks run beside each other.
  const mayOverlap = isUpdating(service) && currentRules(service).order === 'start-first';
  return slot.stopping.length > 0 && !mayOverlap ? 'ready' : 'running';
}

/** Leaves failed and lost tasks behind, and replaces them unless another task of the slot goes on. */
function clear(pass: Pass, slot: Slot, rules: SlotRules): void {
  const failed = slot.failed.at(-1);
  const lost = slot.lost.at(-1);
  if (!rules.mayCreate && slot.good.length === 0) return;
  if (failed !== undefined && lost === undefined && !isReplaceable(pass, failed)) return;
  // A replacement that failed while the old task goes on is tried again if it is still wanted.
  const isWanted =
    slot.good.length === 0 ||
    !isPaused(pass.service) ||
    slot.good.some((task) => isLeaving(pass.tx, task));
  const isRestarted =
    failed !== undefined && (shouldRestart(pass, failed) || isTriedAgain(pass, failed));
  for (const task of slot.failed) {
    const isLast =
      task === failed && !isRestarted && slot.target === undefined && lost === undefined;
    pass.dismiss(task, isLast ? refusalNote(pass, task) : undefined);
  }
  for (const task of slot.lost) pass.stop(task, lossOf(pass, task));
  pass.markChanged(slot.key);
  if (slot.target !== undefined) return;
  if (lost !== undefined && slot.good.length === 0) {
    if (rules.movesAway) move(pass, slot, lost, 'running');
  } else if (failed !== undefined && isRestarted && isWanted) restart(pass, slot, failed);
}

/** Why a lost task has to go. */
export function lossOf(pass: Pass, task: Task): StopCause {
  if (task.Status.State === 'orphaned') return ORPHANED;
  const node = pass.tx.get('node', task.NodeID ?? '');
  return node === undefined ? NODE_GONE : NODE_DOWN;
}

/** Replaces tasks on draining nodes in a slot without a target; the updater sees to outdated ones. */
function moveAway(pass: Pass, slot: Slot, rules: SlotRules): void {
  const leaving = slot.good.filter((task) => isLeaving(pass.tx, task));
  const last = leaving.at(-1);
  if (last === undefined) {
    // Several outdated tasks: one is enough until the update reaches this slot.
    const kept = slot.good.find(isUp) ?? slot.good.at(-1);
    stop(
      pass,
      slot,
      slot.good.filter((task) => task !== kept),
      WITHDRAWN,
    );
    return;
  }
  const staying = slot.good.filter((task) => !leaving.includes(task));
  if (!rules.movesAway || staying.length > 0) {
    stop(pass, slot, leaving, DRAINED);
    return;
  }
  if (gaveUp(pass, slot)) {
    stop(pass, slot, leaving, GIVEN_UP);
    return;
  }
  // A replacement that must itself leave its node and serves nobody yet is not worth keeping.
  const kept = leaving.find(isUp) ?? leaving[0];
  stop(
    pass,
    slot,
    leaving.filter((task) => task !== kept),
    DRAINED,
  );
  const { order } = updateRules(pass.service.Spec.UpdateConfig);
  move(pass, slot, kept ?? last, order === 'start-first' ? 'running' : 'ready');
}

/** Lets `target` take the place of the slot's other good tasks. */
function handOver(pass: Pass, slot: Slot, target: Task, rules: SlotRules): void {
  const leaving = slot.others.filter((task) => isLeaving(pass.tx, task));
  const outdated = slot.others.filter((task) => !leaving.includes(task) && pass.isDirty(task));
  const surplus = slot.others.filter((task) => !leaving.includes(task) && !outdated.includes(task));
  const abandoned = outdated.filter((task) => slot.good.indexOf(task) > slot.good.indexOf(target));
  if (surplus.length + abandoned.length > 0) {
    stop(pass, slot, surplus, SURPLUS);
    stop(pass, slot, abandoned, WITHDRAWN);
    return;
  }
  if (isPaused(pass.service) && leaving.length === 0 && !isUp(target)) {
    // Nothing was stopped for the target yet, and a paused update keeps what runs.
    stop(pass, slot, [target], PAUSED);
    return;
  }
  const update = currentRules(pass.service);
  if (isServing(pass, slot, target, update)) {
    if (leaving.length === 0 && isOnTrial(pass, slot, target)) return;
    giveWay(pass, slot, target, leaving);
    return;
  }
  if (!isDue(pass, target)) return;
  const isServed = slot.others.some(isUp);
  if (isRollback(pass.service.UpdateStatus) && leaving.length === 0 && !isServed) {
    // Nobody loses anything when the tasks of a failed spec go at once.
    giveWay(pass, slot, target, leaving);
    return;
  }
  const order =
    leaving.length > 0 ? updateRules(pass.service.Spec.UpdateConfig).order : update.order;
  if (target.DesiredState !== 'ready') {
    if (!isBlockedByPredecessor(pass, target, slot.others)) return;
  } else if (order === 'start-first') {
    run(pass, slot, target);
    return;
  } else {
    if (!mayTakeOver(pass, target, slot.others)) return;
    if (leaving.length > 0 && rules.drains.left-- <= 0) return;
  }
  if (isServed && rules.rollback.left-- <= 0) return;
  giveWay(pass, slot, target, leaving);
}

/** Stops the slot's other tasks for the target, which says what it waits for. */
function giveWay(pass: Pass, slot: Slot, target: Task, leaving: readonly Task[]): void {
  const replaced = isRollback(pass.service.UpdateStatus) ? ROLLED_BACK : UPDATED;
  stop(pass, slot, leaving, DRAINED);
  stop(
    pass,
    slot,
    slot.others.filter((task) => !leaving.includes(task)),
    replaced,
  );
  if (target.DesiredState !== 'ready' || target.Status.State !== 'ready') return;
  const until = Math.max(
    ...slot.others.map(({ ID }) => stopLimit(pass.tx.get('task', ID) as Task, pass.now)),
  );
  const who = slot.others.map(({ ID }) => ID).join(', ');
  pass.note(target, `ready: waits for task ${who} to stop, until ${formatTime(until)} at most`);
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
    const { target, tasks } = slot;
    if (target === undefined || slot.others.length > 0 || isUp(target)) continue;
    const before = tasks[tasks.indexOf(target) - 1];
    // A restart is not a switch, but a moved task takes over the attempts of the one before.
    if (before === undefined || (target.Restart !== undefined && !isMoved(before))) continue;
    const until = parseTime(target.CreatedAt) + DRAIN_SWITCH_TIMEOUT_MS;
    if (pass.now >= until) continue;
    pass.wakeAt(until);
    switching++;
  }
  return { left: Math.max(0, parallelism - switching) };
}

/**
 * How many slots a rollback may take down now. Together with those that are down anyway never more than its
 * parallelism, so it restores what the failed update broke before it stops what that left running. Slots in
 * which the rollback failed, too, hold up nothing.
 */
export function rollbackAllowance(pass: Pass, slots: readonly Slot[]): { left: number } {
  const { service, observations } = pass;
  const rules = currentRules(service);
  if (rules.parallelism === 0 || !isUpdating(service) || !isRollback(service.UpdateStatus))
    return { left: Number.POSITIVE_INFINITY };
  const isDown = (slot: Slot) =>
    isLive(slot) &&
    !observations.failed.has(slot.key) &&
    !slot.good.some((task) => isServing(pass, slot, task, rules));
  return { left: Math.max(0, rules.parallelism - slots.filter(isDown).length) };
}

/**
 * Whether the roll-out under way puts the slot of an ended task to work again, whatever the restart policy says:
 * a rollback does so after any failure before it; an update that is resumed, after those of its own tasks.
 */
export function isTriedAgain({ service }: Pass, last: Task): boolean {
  const { UpdateStatus: status } = service;
  if (!isUpdating(service) || last.Status.State === 'complete') return false;
  if (parseTime(last.CreatedAt) >= parseTime(status?.StartedAt)) return false;
  return isRollback(status) || last.SpecVersion.Index === service.SpecVersion.Index;
}

/** Whether the slot's newest task ended by itself and must not be tried again. */
export function gaveUp(pass: Pass, slot: Slot): boolean {
  const last = newest(slot);
  if (last === undefined || slot.good.includes(last)) return false;
  return endedByItself(last) && !shouldRestart(pass, last);
}

function restart(pass: Pass, slot: Slot, ended: Task): void {
  const plan = planRestart(pass, ended);
  if (plan !== undefined) {
    pass.create({ ...place(slot), desiredState: 'ready', ...plan });
    pass.markChanged(slot.key);
  } else if (slot.good.length === 0) {
    create(pass, slot, firstState(pass, slot), `takes over from task ${ended.ID}`);
  }
  // Otherwise the tasks that go on are of an earlier spec, too: the updater replaces them in their turn.
}

/** Creates the replacement of a task that has to leave its node. It takes over the wait of a back-off. */
function move(pass: Pass, slot: Slot, task: Task, desiredState: 'ready' | 'running'): void {
  const taken = restartOfMoved(pass, task);
  const isWaiting = taken !== undefined && isBackingOff(task, pass.now);
  create(pass, slot, isWaiting ? 'ready' : desiredState, `takes over from task ${task.ID}`, taken);
}

function create(
  pass: Pass,
  slot: Slot,
  desiredState: TaskState,
  message = 'created',
  taken?: TaskRestart,
): void {
  const restart = taken === undefined ? {} : { restart: taken };
  pass.create({ ...place(slot), desiredState, message, ...restart });
  pass.markChanged(slot.key);
}

function run(pass: Pass, slot: Slot, task: Task): void {
  pass.release(task, 'running');
  pass.markChanged(slot.key);
}

function stop(pass: Pass, slot: Slot, tasks: readonly Task[], cause: StopCause): void {
  for (const task of tasks) pass.stop(task, cause);
  if (tasks.length > 0) pass.markChanged(slot.key);
}

function place(slot: Slot): { slot: number; nodeId?: string } {
  return { slot: slot.number, ...(slot.nodeId !== undefined && { nodeId: slot.nodeId }) };
}
