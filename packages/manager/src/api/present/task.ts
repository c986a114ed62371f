import type { Task } from '@swarm/api';

/** A task as the API shows it: without registry credentials. */
export function presentTask(task: Task): Task {
  const { RegistryAuth: _, ...spec } = task.Spec;
  return { ...task, Spec: spec };
}
