import type { Task } from '@swarm/api';
import type { View } from '../store/store.js';

/** Selects tasks whose logs to read: by their own ids, or by their service or node. */
export interface LogSelector {
  readonly serviceIds?: readonly string[];
  readonly taskIds?: readonly string[];
  readonly nodeIds?: readonly string[];
}

export function selects(selector: LogSelector, task: Task): boolean {
  return (
    selector.taskIds?.includes(task.ID) === true ||
    selector.serviceIds?.includes(task.ServiceID) === true ||
    (task.NodeID !== undefined && selector.nodeIds?.includes(task.NodeID) === true)
  );
}

/** Returns all selected tasks, each once. */
export function selectedTasks(view: View, selector: LogSelector): Task[] {
  const tasks = new Map<string, Task>();
  const add = (found: Iterable<Task>) => {
    for (const task of found) tasks.set(task.ID, task);
  };
  for (const id of selector.taskIds ?? []) {
    const task = view.get('task', id);
    if (task !== undefined) add([task]);
  }
  for (const id of selector.serviceIds ?? []) add(view.tasksByService(id));
  for (const id of selector.nodeIds ?? []) add(view.tasksByNode(id));
  return [...tasks.values()];
}
