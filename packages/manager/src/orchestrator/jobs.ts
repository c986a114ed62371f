import { isJobMode, isTerminal, type Mode, modeOf, type Service, type Task } from '@swarm/api';
import type { Pass } from './pass.js';
import { barredFrom } from './global.js';
import { isLeaving, isLost } from './placement.js';
import { lossOf } from './replacement.js';
import {
  allowsRestart,
  isBackingOff,
  planRestart,
  refusalNote,
  restartOfMoved,
  shouldRestart,
} from './restart.js';
import { freeSlots } from './scale.js';
import { inspectSlot, newest, type Place, type Slot } from './slot.js';
import { DRAINED, endedByItself, isMoved, JOB_REPEATED, type StopCause } from './stop.js';
import { isDue, isReplaceable, isStopOverdue } from './waiting.js';

/** Whether the jobs orchestrator is in charge of the service. */
export function isJob(service: Service): boolean {
  return isJobMode(modeOf(service.Spec));
}

/**
 * Drives a job to its end: every slot (or node) has one completed task of the current iteration. Removes
 * tasks of earlier iterations, even ended ones, so a job that runs again and again leaves no history.
 */
export function reconcileJob(pass: Pass): void {
  const iteration = pass.service.JobStatus?.JobIteration.Index ?? 0;
  const tasks: Task[] = [];
  const former: Task[] = [];
  for (const task of pass.tx.tasksByService(pass.service.ID)) {
    if ((task.JobIteration?.Index ?? 0) === iteration) tasks.push(task);
    else former.push(task);
  }
  pass.observations.observe(tasks, pass.now);
  for (const task of former) {
    if (task.DesiredState !== 'remove' && pass.hasRoom(1)) pass.stop(task, JOB_REPEATED, 'remove');
  }
  const mode = modeOf(pass.service.Spec);
  if (mode.kind === 'global-job') reconcileGlobalJob(pass, tasks);
  else if (mode.kind === 'replicated-job') reconcileReplicatedJob(pass, mode, tasks);
}

type ReplicatedJob = Extract<Mode, { readonly kind: 'replicated-job' }>;

function reconcileReplicatedJob(pass: Pass, mode: ReplicatedJob, tasks: readonly Task[]): void {
  const slots = new Map<number, Task[]>();
  for (const task of tasks) {
    if (task.DesiredState === 'remove') continue;
    slots.set(task.Slot, [...(slots.get(task.Slot) ?? []), task]);
  }
  let active = 0;
  for (const [number, slotTasks] of slots) {
    const slot = inspectJobSlot(pass, { key: String(number), number }, slotTasks);
    if (!isDone(pass, slot)) active++;
    advance(pass, slot, true);
  }
  const wanted = Math.min(mode.maxConcurrent - active, mode.totalCompletions - slots.size);
  for (const number of freeSlots(new Set(slots.keys()), Math.max(0, wanted))) {
    if (pass.hasRoom(1)) pass.create({ slot: number, desiredState: 'complete' });
  }
}

function reconcileGlobalJob(pass: Pass, tasks: readonly Task[]): void {
  for (const node of pass.tx.list('node')) {
    const own = tasks.filter((task) => task.NodeID === node.ID && task.DesiredState !== 'remove');
    const slot = inspectJobSlot(pass, { key: node.ID, number: 0, nodeId: node.ID }, own);
    const last = newest(slot);
    const bar = barredFrom(pass, node);
    if (bar !== undefined) stopSlot(pass, slot, bar);
    else if (node.Status.State !== 'ready' || node.Spec.Availability !== 'active') {
      // Paused, or silent since the leader changed: what started there may finish there.
    } else if (last === undefined || wasStopped(last)) {
      if (pass.hasRoom(1)) pass.create({ slot: 0, nodeId: node.ID, desiredState: 'complete' });
    } else advance(pass, slot, false);
  }
}

/** A job's live tasks have desired state READY or COMPLETE; `inspectSlot` takes COMPLETE for stopping. */
function inspectJobSlot(pass: Pass, place: Place, tasks: readonly Task[]): Slot {
  const slot = inspectSlot(pass, place, tasks);
  const live = slot.tasks.filter(isWanted);
  const ended = live.filter(
    (task) => isTerminal(task.Status.State) && task.Status.State !== 'orphaned' && !isMoved(task),
  );
  const lost = live.filter(
    (task) => !ended.includes(task) && (isMoved(task) || isLost(pass.tx, task)),
  );
  const good = live.filter((task) => !ended.includes(task) && !lost.includes(task));
  return {
    ...slot,
    failed: ended.filter((task) => task.Status.State !== 'complete'),
    lost,
    good,
    target: good.at(-1),
    others: good.slice(0, -1),
    stopping: slot.stopping.filter((task) => !isWanted(task)),
  };
}

function advance(pass: Pass, slot: Slot, movesAway: boolean): void {
  if (!pass.hasRoom(slot.tasks.length + 1)) return;
  const leaving = movesAway ? slot.good.filter((task) => isLeaving(pass.tx, task)) : [];
  const failed = slot.failed.at(-1);
  const displaced = [...slot.lost, ...leaving].at(-1);
  if (failed !== undefined && displaced === undefined && !isReplaceable(pass, failed)) return;
  const isRestarted = failed !== undefined && shouldRestart(pass, failed);
  for (const task of slot.failed) {
    const isLast = task === failed && !isRestarted && displaced === undefined;
    pass.dismiss(task, isLast ? refusalNote(pass, task) : undefined);
  }
  for (const task of slot.lost) pass.stop(task, lossOf(pass, task));
  for (const task of leaving) pass.stop(task, DRAINED);
  const target =
    slot.target !== undefined && leaving.includes(slot.target) ? undefined : slot.target;
  if (target !== undefined) {
    promote(pass, slot, target);
    return;
  }
  const place = {
    slot: slot.number,
    ...(slot.nodeId !== undefined && { nodeId: slot.nodeId }),
  };
  if (displaced !== undefined) {
    // The work starts again elsewhere, but not before it has ended here.
    if (movesAway && allowsRestart(pass, displaced)) {
      const restart = restartOfMoved(pass, displaced);
      const waits = leaving.length > 0 || isBackingOff(displaced, pass.now);
      pass.create({
        ...place,
        desiredState: waits ? 'ready' : 'complete',
        ...(restart !== undefined && { restart }),
      });
    }
  } else if (failed !== undefined && isRestarted) {
    pass.create({ ...place, desiredState: 'ready', ...planRestart(pass, failed) });
  }
}

function promote(pass: Pass, slot: Slot, target: Task): void {
  if (target.DesiredState !== 'ready' || !isDue(pass, target)) return;
  if (slot.stopping.length > 0 && !isStopOverdue(pass, slot.stopping)) return;
  pass.release(target, 'complete');
}

/** Whether the slot's work is done or given up. */
function isDone(pass: Pass, slot: Slot): boolean {
  const last = newest(slot);
  if (last === undefined || slot.good.length > 0 || slot.lost.length > 0) return false;
  if (last.Status.State === 'complete') return true;
  return isTerminal(last.Status.State) && !isMoved(last) && !shouldRestart(pass, last);
}

function stopSlot(pass: Pass, slot: Slot, cause: StopCause): void {
  for (const task of [...slot.good, ...slot.lost]) {
    if (pass.hasRoom(1)) pass.stop(task, cause);
  }
}

/** Whether the task was stopped because its node left, before it completed or ended by itself. */
function wasStopped(task: Task): boolean {
  return !isWanted(task) && task.Status.State !== 'complete' && !endedByItself(task);
}

function isWanted(task: Task): boolean {
  return (
    task.DesiredState === 'complete' ||
    task.DesiredState === 'ready' ||
    task.DesiredState === 'running'
  );
}
