import { type Node, type NodeStatus, pathNotes } from '@swarm/api';
import type { View } from '../../store/store.js';

/** Of a cluster that is not stored yet. */
const DATA_PATH_PORT = 4789;

/** What is wrong with the paths of a node, as the API says it. */
export function notesOf(view: View, node: Node): readonly string[] {
  // Fast path: most nodes reach all others.
  if ((node.Description?.Paths?.Problems ?? []).length === 0) return [];
  return pathNotes(node, {
    dataPathPort: view.cluster()?.DataPathPort ?? DATA_PATH_PORT,
    nodeOf: (nodeId) => view.get('node', nodeId),
  });
}

/** The status of a node with what is wrong with its paths, unless it has more to say. */
export function withPathNotes(status: NodeStatus, notes: readonly string[]): NodeStatus {
  if (notes.length === 0) return status;
  const said = status.Message === undefined ? [] : [status.Message];
  return { ...status, Message: [...said, ...notes].join('; ') };
}
