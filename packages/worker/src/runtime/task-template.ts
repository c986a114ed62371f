import { expandForTask, type Task } from '@swarm/api';
import type { NodeFacts } from './runtime.js';
import { refused } from './spec-refusal.js';

/**
 * Expands the placeholders in a text of a task's spec.
 * @throws RuntimeError `rejected` for an unknown placeholder; names `field`
 */
export function expandFor(text: string, field: string, task: Task, node: NodeFacts): string {
  return refused(() => expandForTask(text, field, task, node));
}
