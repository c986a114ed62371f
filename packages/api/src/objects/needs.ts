import { isTerminal } from '../task-state.js';
import type { NeededKind } from '../wire/assignments.js';
import type { Task } from './task.js';

/** An object that a task needs on its node. */
export interface Need {
  readonly kind: NeededKind;
  readonly id: string;
  /** As the task's spec names it, for people. */
  readonly name: string;
}

/**
 * Which objects a task needs, each once. The only place that says so: managers send a node what its tasks
 * need, and the agent waits for it before it prepares a task. A task that has ended needs nothing.
 */
export function needsOf(task: Task): readonly Need[] {
  if (isTerminal(task.Status.State)) return [];
  const { Secrets = [], Configs = [] } = task.Spec.ContainerSpec ?? {};
  const needs = new Map<string, Need>();
  const add = (kind: NeededKind, id: string, name: string) =>
    needs.set(`${kind}/${id}`, { kind, id, name });
  for (const { Network } of task.NetworksAttachments ?? [])
    add('network', Network.ID, Network.Spec.Name);
  for (const { SecretID, SecretName } of Secrets) add('secret', SecretID, SecretName);
  for (const { ConfigID, ConfigName } of Configs) add('config', ConfigID, ConfigName);
  return [...needs.values()];
}
