import {
  type Node,
  type NodeStatus,
  type PortConflict,
  portKey,
  type PortKey,
  publishedKey,
  type Service,
  type ServicePortConflict,
  type Task,
} from '@swarm/api';
import { nodeNameOf } from '../../store/object-keys.js';
import type { View } from '../../store/store.js';

/** Conflicts that the message of a node names. */
const NAMED_LIMIT = 3;
/** Most conflicts shown of one service: each of its ports may have one on every node. */
const SHOWN_LIMIT = 100;

/** The status of a node with the published ports that it does not serve, unless it has more to say. */
export function withConflicts({ Status, Description }: Node): NodeStatus {
  const conflicts = Description?.PortConflicts ?? [];
  if (conflicts.length === 0 || Status.State !== 'ready' || Status.Message !== undefined)
    return Status;
  const named = conflicts.slice(0, NAMED_LIMIT).map((conflict) => notServed(conflict, 'here'));
  const more = conflicts.length - named.length;
  return { ...Status, Message: [...named, ...(more > 0 ? [`${more} more`] : [])].join('; ') };
}

/** Where the ports of a service are not served; undefined when every node that is up serves all of them. */
export function conflictsOf(view: View, service: Service): ServicePortConflict[] | undefined {
  const found: ServicePortConflict[] = [];
  for (const port of service.Endpoint.Ports ?? []) {
    if (port.PublishMode !== 'ingress') continue;
    const key = publishedKey(port);
    for (const node of view.nodesByConflict(key)) {
      if (node.Status.State === 'down') continue;
      if (found.length === SHOWN_LIMIT) return found;
      const conflict = conflictAt(node, key);
      if (conflict !== undefined)
        found.push({ NodeID: node.ID, Hostname: nodeNameOf(node) ?? '', ...conflict });
    }
  }
  return found.length === 0 ? undefined : found;
}

/** What is wrong with the ports of a task on its own node, as a sentence; undefined when nothing is. */
export function taskConflict(view: View, task: Task): string | undefined {
  if (task.Status.State !== 'running' || task.NodeID === undefined) return undefined;
  // Fast path: most tasks publish nothing, and most nodes serve everything.
  if (task.Endpoint.Ports.length === 0) return undefined;
  const node = view.get('node', task.NodeID);
  if (node?.Description?.PortConflicts === undefined) return undefined;
  for (const port of task.Endpoint.Ports) {
    const conflict = conflictAt(node, publishedKey(port));
    if (conflict !== undefined) return notServed(conflict, 'on this node');
  }
  return undefined;
}

function conflictAt({ Description }: Node, key: PortKey): PortConflict | undefined {
  return Description?.PortConflicts?.find(
    ({ Protocol, PublishedPort }) => portKey(Protocol, PublishedPort) === key,
  );
}

function notServed({ Protocol, PublishedPort, Reason }: PortConflict, where: string): string {
  return `port ${PublishedPort}/${Protocol} is not served ${where}: ${Reason}`;
}
