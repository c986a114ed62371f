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
 * Which objects a task needs, each once. Nothing else decides this: managers send a node what its tasks
 * need, and the agent waits for it before it prepares a task. A task that has ended needs nothing.
 */
export function needsOf(task: Task): readonly Need[] {
  if (isTerminal(task.Status.State)) return [];
  const { Secrets = [], Configs = [] } = task.Spec.ContainerSpec ?? {};
  const needs: Need[] = [];
  for (const { Network } of task.NetworksAttachments ?? [])
    needs.push({ kind: 'network', id: Network.ID, name: Network.Spec.Name });
  for (const { SecretID, SecretName } of Secrets)
    needs.push({ kind: 'secret', id: SecretID, name: SecretName });
  for (const { ConfigID, ConfigName } of Configs)
    needs.push({ kind: 'config', id: ConfigID, name: ConfigName });
  // Most tasks need one network, and nothing twice.
  if (needs.length < 2) return needs;
  return [...new Map(needs.map((need) => [`${need.kind}/${need.id}`, need])).values()];
}
