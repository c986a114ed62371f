import { modeOf, type Node, type Service, type Task } from '@swarm/api';
import type { Pass } from './pass.js';
import {
  advanceSlot,
  fillSlot,
  isTriedAgain,
  rollbackAllowance,
  type SlotRules,
} from './replacement.js';
import { shouldRestart } from './restart.js';
import { inspectSlot, isLive, newest, type Slot } from './slot.js';
import { DRAINED, endedByItself, MISPLACED, NODE_DOWN, NODE_GONE, type StopCause } from './stop.js';
import { assessUpdate, continueUpdate } from './update.js';

/** Whether the global orchestrator is in charge of the service. */
export function isGlobal(service: Service): boolean {
  return modeOf(service.Spec).kind === 'global';
}

/**
 * Drives a global service to one task on every node that matches its constraints and is neither down nor
 * drained. Leaves paused nodes as they are. When a node leaves this set, its task stops; it does not move.
 */
export function reconcileGlobal(pass: Pass): void {
  const tasks = [...pass.tx.tasksByService(pass.service.ID)];
  pass.observations.observe(tasks, pass.now);
  const byNode = groupByNode(tasks);
  const slots: Slot[] = [];
  const kept: Slot[] = [];
  for (const node of pass.tx.list('node')) {
    const place = { key: node.ID, number: 0, nodeId: node.ID };
    const slot = inspectSlot(pass, place, byNode.get(node.ID) ?? []);
    byNode.delete(node.ID);
    const bar = barredFrom(pass, node);
    if (bar !== undefined) stopSlot(pass, slot, bar);
    else if (node.Spec.Availability === 'pause' || isKept(pass, node)) kept.push(slot);
    else slots.push(slot);
  }
  // The remaining tasks belong to nodes that no longer exist.
  for (const orphans of byNode.values()) {
    for (const task of orphans) if (pass.hasRoom(1)) pass.stop(task, NODE_GONE, 'remove');
  }

  if (assessUpdate(pass, slots)) return;
  // What is down on a paused node stays so, and holds nothing up.
  const rollback = rollbackAllowance(pass, slots);
  const rules: SlotRules = { mayCreate: true, movesAway: false, drains: { left: 0 }, rollback };
  for (const slot of kept) advanceSlot(pass, slot, { ...rules, mayCreate: false });
  for (const slot of slots) {
    if (isLive(slot)) advanceSlot(pass, slot, rules);
    else if (!isFinished(pass, slot)) {
      fillSlot(pass, slot);
      pass.markChanged(slot.key);
    }
  }
  continueUpdate(pass, slots, true);
}

/** Why a service or job with one task per node must not run on the node; undefined when it may. */
export function barredFrom(pass: Pass, node: Node): StopCause | undefined {
  if (node.Status.State === 'down') return NODE_DOWN;
  if (node.Spec.Availability === 'drain') return DRAINED;
  const mayRun = pass.nodeMatches(pass.source, node) || isKept(pass, node);
  return mayRun ? undefined : MISPLACED;
}

/** While an update is paused, what runs by the new spec stays, but nothing new is made by it. */
function isKept(pass: Pass, node: Node): boolean {
  if (pass.source === pass.service || pass.nodeMatches(pass.source, node)) return false;
  return pass.nodeMatches(pass.service, node);
}

function stopSlot(pass: Pass, slot: Slot, cause: StopCause): void {
  for (const task of [...slot.good, ...slot.lost]) if (pass.hasRoom(1)) pass.stop(task, cause);
  for (const task of slot.failed) if (pass.hasRoom(1)) pass.dismiss(task);
}

/**
 * Whether the node's last task ended by itself and must not restart: its work is done. A task that was
 * stopped because its node left comes back with the node.
 */
function isFinished(pass: Pass, slot: Slot): boolean {
  const last = newest(slot);
  if (last === undefined || isTriedAgain(pass, last)) return false;
  return endedByItself(last) && !shouldRestart(pass, last);
}

function groupByNode(tasks: readonly Task[]): Map<string, Task[]> {
  const nodes = new Map<string, Task[]>();
  for (const task of tasks) {
    const id = task.NodeID ?? '';
    const known = nodes.get(id);
    if (known === undefined) nodes.set(id, [task]);
    else known.push(task);
  }
  return nodes;
}
