import { modeOf, type Node, type Service, type Task } from '@swarm/api';
import type { Pass } from './pass.js';
import { advanceSlot, fillSlot, type SlotRules } from './replacement.js';
import { shouldRestart } from './restart.js';
import { inspectSlot, isLive, newest, type Slot } from './slot.js';
import { assessUpdate, continueUpdate } from './update.js';

/** Whether the global orchestrator is in charge of the service. */
export function isGlobal(service: Service): boolean {
  return modeOf(service.Spec).kind === 'global';
}

/** What a global service does on a node: run a task, keep the one it has, or stop it. */
type Standing = 'run' | 'keep' | 'stop';

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
    const standing = standingOf(pass, node);
    if (standing === 'run') slots.push(slot);
    else if (standing === 'keep') kept.push(slot);
    else stopSlot(pass, slot);
  }
  // The remaining tasks belong to nodes that no longer exist.
  for (const orphans of byNode.values()) {
    for (const task of orphans) if (pass.hasRoom(1)) pass.setDesired(task, 'remove');
  }

  if (assessUpdate(pass, slots)) return;
  const rules: SlotRules = { mayCreate: true, movesAway: false, drains: { left: 0 } };
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

function standingOf(pass: Pass, node: Node): Standing {
  if (node.Status.State === 'down' || node.Spec.Availability === 'drain') return 'stop';
  if (!pass.nodeMatches(pass.source, node)) {
    // While an update is paused, what runs by the new spec stays, but nothing new is made by it.
    const isKept = pass.source !== pass.service && pass.nodeMatches(pass.service, node);
    return isKept ? 'keep' : 'stop';
  }
  return node.Spec.Availability === 'pause' ? 'keep' : 'run';
}

function stopSlot(pass: Pass, slot: Slot): void {
  for (const task of [...slot.good, ...slot.lost, ...slot.failed]) {
    if (pass.hasRoom(1)) pass.setDesired(task, 'shutdown');
  }
}

/** Whether the node's last task ended by itself and must not restart: its work is done. */
function isFinished(pass: Pass, slot: Slot): boolean {
  const last = newest(slot);
  if (last === undefined) return false;
  const { State } = last.Status;
  // A task that was stopped because its node left comes back with the node.
  if (State !== 'complete' && State !== 'failed' && State !== 'rejected') return false;
  return !shouldRestart(last, slot.tasks, pass.now);
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
