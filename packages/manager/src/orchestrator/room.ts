import type { Task } from '@swarm/api';
import { NODE_FILTERS, NO_FREE_ADDRESS, Pipeline } from '../scheduler/filters.js';
import { NodeInfo } from '../scheduler/node-info.js';
import { ROOM_RECHECK_MS } from './limits.js';
import type { Pass } from './pass.js';

/**
 * Whether a task that the scheduler cannot place could be placed if these tasks stopped: on a node of theirs
 * that takes new tasks, where only what they hold is in the way (resources, a host port, a place under the
 * limit of replicas per node, an address). Anything else would still be in the way when they are gone, so it
 * is no reason to stop them. Reads the tasks of their nodes.
 */
export function makesRoom(pass: Pass, task: Task, stopped: readonly Task[]): boolean {
  const pipeline = new Pipeline(NODE_FILTERS, task);
  const isPreassigned = task.NodeID !== undefined && task.NodeID !== '';
  const nodeIds = new Set(stopped.map(({ NodeID }) => NodeID ?? ''));
  for (const nodeId of nodeIds) {
    const node = pass.tx.get('node', nodeId);
    if (node === undefined || (isPreassigned && nodeId !== task.NodeID)) continue;
    const info = new NodeInfo(node);
    // What is in the way on an empty node is not what runs there.
    if (!pipeline.fits(info)) continue;
    for (const other of pass.tx.tasksByNode(nodeId)) info.put(other);
    // The scheduler is about to place it; it knows whether there is an address.
    if (pipeline.fits(info) && task.Status.Err?.includes(NO_FREE_ADDRESS) !== true) continue;
    for (const { ID } of stopped) info.remove(ID);
    if (pipeline.fits(info)) return true;
    // Tasks of other services may be in the way, and no event of theirs leads to this service.
    pass.wakeAt(pass.now + ROOM_RECHECK_MS);
  }
  return false;
}
