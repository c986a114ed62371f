import type { Node, Service, Task } from '@swarm/api';
import type { View } from '../store/store.js';
import { meansSame } from './means-same.js';

/** Whether the node satisfies the placement constraints of a service's task template. */
export type NodeMatcher = (service: Service, node: Node) => boolean;

/**
 * Whether the task's node is down or no longer exists, so nothing can be asked of it. Orphaned tasks are
 * lost too: their node was given up or removed.
 */
export function isLost(view: View, task: Task): boolean {
  if (task.Status.State === 'orphaned') return true;
  if (task.NodeID === undefined || task.NodeID === '') return false;
  const node = view.get('node', task.NodeID);
  // A node that cannot be read may still be alive.
  if (node === undefined) return view.setAside('node', task.NodeID) === undefined;
  return node.Status.State === 'down';
}

/** Whether the task's node is draining. Unlike a lost task, it can still be stopped in good order. */
export function isLeaving(view: View, task: Task): boolean {
  if (task.NodeID === undefined || task.NodeID === '') return false;
  return view.get('node', task.NodeID)?.Spec.Availability === 'drain';
}

/**
 * Whether a change to a node can move tasks. Its place in the mesh and its certificate cannot, nor can what it only
 * reports for users: a port that a program takes on every host would else make work of every service.
 */
export function concernsTasks(before: Node, after: Node): boolean {
  return (
    before.Status.State !== after.Status.State ||
    before.Status.Addr !== after.Status.Addr ||
    before.Role !== after.Role ||
    !meansSame(before.Spec, after.Spec) ||
    !meansSame(placementOf(before), placementOf(after))
  );
}

/** What a node reports of itself that tasks may depend on. */
function placementOf({ Description }: Node): unknown {
  if (Description === undefined) return undefined;
  const {
    PortConflicts: _conflicts,
    Paths: _paths,
    Ipv6Addresses: _addresses,
    ListenPort: _port,
    Program: _program,
    Encryption: _encryption,
    ...rest
  } = Description;
  return rest;
}
