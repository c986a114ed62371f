import type { Node, Service, Task } from '@swarm/api';
import type { View } from '../store/store.js';
import { meansSame } from './means-same.js';

/** Whether the node satisfies the placement constraints of a service's task template. */
export type NodeMatcher = (service: Service, node: Node) => boolean;

/**
 * The task has a node, and that node is down or no longer exists: nothing can be asked of it. An orphaned
 * task is one whose node was given up or removed.
 */
export function isLost(view: View, task: Task): boolean {
  if (task.Status.State === 'orphaned') return true;
  if (task.NodeID === undefined || task.NodeID === '') return false;
  const node = view.get('node', task.NodeID);
  // Of one that can not be read nobody knows that it is lost.
  if (node === undefined) return view.setAside('node', task.NodeID) === undefined;
  return node.Status.State === 'down';
}

/** The task has to leave its node, which can still stop it in good order. */
export function isLeaving(view: View, task: Task): boolean {
  if (task.NodeID === undefined || task.NodeID === '') return false;
  return view.get('node', task.NodeID)?.Spec.Availability === 'drain';
}

/** Whether a change of a node can move tasks: that of its place in the mesh or its certificate can not. */
export function concernsTasks(before: Node, after: Node): boolean {
  return (
    before.Status.State !== after.Status.State ||
    before.Status.Addr !== after.Status.Addr ||
    before.Role !== after.Role ||
    !meansSame(before.Spec, after.Spec) ||
    !meansSame(before.Description, after.Description)
  );
}
