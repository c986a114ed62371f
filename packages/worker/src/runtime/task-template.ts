import { expandTemplate, type Task } from '@swarm/api';
import type { NodeFacts } from './runtime.js';
import { refused } from './spec-refusal.js';

/**
 * Expands the placeholders in a text of a task's spec. For a global service, `{{.Task.Slot}}` is the node's id,
 * as in Docker.
 * @throws RuntimeError `rejected` for an unknown placeholder; names `field`
 */
export function expandFor(text: string, field: string, task: Task, node: NodeFacts): string {
  const { Architecture, OS } = node.platform;
  const slot = task.Slot > 0 ? String(task.Slot) : (task.NodeID ?? node.id);
  return refused(() =>
    expandTemplate(text, field, {
      service: { id: task.ServiceID, name: task.ServiceName, labels: task.ServiceLabels },
      node: { id: node.id, hostname: node.hostname, architecture: Architecture, os: OS },
      task: { id: task.ID, name: task.Name, slot },
    }),
  );
}
