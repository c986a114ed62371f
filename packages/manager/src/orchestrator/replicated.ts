import { modeOf, type Service, type Task } from '@swarm/api';
import { preferenceLabels } from '../scheduler/constraint.js';
import type { Pass } from './pass.js';
import {
  advanceSlot,
  drainAllowance,
  fillSlot,
  isTriedAgain,
  rollbackAllowance,
} from './replacement.js';
import { shouldRestart } from './restart.js';
import { freeSlots, keepOrder } from './scale.js';
import { inspectSlot, isLive, newest, type Slot } from './slot.js';
import { endedByItself } from './stop.js';
import { assessUpdate, continueUpdate } from './update.js';

/** Whether the replicated orchestrator is in charge of the service. */
export function isReplicated(service: Service): boolean {
  return modeOf(service.Spec).kind === 'replicated';
}

/** Drives a replicated service to its number of replicas, each of the current spec and on a live node. */
export function reconcileReplicated(pass: Pass): void {
  const tasks = [...pass.tx.tasksByService(pass.service.ID)];
  pass.observations.observe(tasks, pass.now);
  const slots = groupBySlot(tasks).map(([number, slotTasks]) =>
    inspectSlot(pass, { key: String(number), number }, slotTasks),
  );
  const occupied: Slot[] = [];
  const dead: Slot[] = [];
  for (const slot of slots) (isLive(slot) || isFinished(pass, slot) ? occupied : dead).push(slot);
  const mode = modeOf(pass.service.Spec);
  const replicas = mode.kind === 'replicated' ? mode.replicas : 0;
  const surplus = occupied.length > replicas ? keepOrder(occupied, branchesOf(pass)) : occupied;
  const kept = surplus.slice(0, replicas).sort((a, b) => a.number - b.number);
  for (const slot of surplus.slice(replicas)) removeSlot(pass, slot, replicas);

  if (assessUpdate(pass, kept)) return;
  const rules = {
    mayCreate: true,
    movesAway: true,
    drains: drainAllowance(pass, kept),
    rollback: rollbackAllowance(pass, kept),
  };
  for (const slot of kept) advanceSlot(pass, slot, rules);
  const taken = new Set(kept.map((slot) => slot.number));
  const missing = freeSlots(taken, Math.max(0, replicas - kept.length));
  fill(pass, missing, dead);
  const refilled = new Set(missing);
  for (const slot of dead) if (!refilled.has(slot.number)) removeSlot(pass, slot, replicas);
  continueUpdate(pass, kept, missing.length === 0);
}

function fill(pass: Pass, numbers: readonly number[], dead: readonly Slot[]): void {
  const byNumber = new Map(dead.map((slot) => [slot.number, slot]));
  for (const number of numbers) {
    const slot = byNumber.get(number) ?? inspectSlot(pass, { key: String(number), number }, []);
    fillSlot(pass, slot);
  }
}

/** Whether the slot's last task ended and must not restart: the slot counts as filled, its work is done. */
function isFinished(pass: Pass, slot: Slot): boolean {
  const last = newest(slot);
  if (last === undefined || last.DesiredState === 'remove' || isTriedAgain(pass, last))
    return false;
  return endedByItself(last) && !shouldRestart(pass, last);
}

/** Returns a reader of the branches of the preference tree that a node is in, from the root down. */
function branchesOf(pass: Pass): (nodeId: string) => string[] {
  const labels = preferenceLabels(pass.source.Spec.TaskTemplate.Placement?.Preferences);
  return (nodeId) => {
    const node = pass.tx.get('node', nodeId);
    return labels.map((label) => (node === undefined ? '' : label(node)));
  };
}

/** Removes everything in the slot, history included. */
function removeSlot(pass: Pass, slot: Slot, replicas: number): void {
  const cause = { Reason: `scaled down to ${replicas}` };
  for (const task of slot.tasks) {
    if (task.DesiredState === 'remove' || !pass.hasRoom(1)) continue;
    pass.stop(task, cause, 'remove');
  }
  pass.markChanged(slot.key);
}

function groupBySlot(tasks: readonly Task[]): [number, Task[]][] {
  const slots = new Map<number, Task[]>();
  for (const task of tasks) {
    const slot = slots.get(task.Slot);
    if (slot === undefined) slots.set(task.Slot, [task]);
    else slot.push(task);
  }
  return [...slots].sort(([a], [b]) => a - b);
}
