import { INGRESS_SUBNET } from '../network/layout.js';
import { Subnet } from '../network/subnet.js';
import { isTerminal } from '../task-state.js';
import { parseCidr } from '../values/address.js';
import type { NeededKind } from '../wire/assignments.js';
import type { NetworkAttachment, Task } from './task.js';

/** An object that a task needs on its node. */
export interface Need {
  readonly kind: NeededKind;
  readonly id: string;
  /** As the task's spec names it, for people. */
  readonly name: string;
  /** The task can be prepared without it: of the ingress network, its attachment says all. */
  readonly isOptional?: boolean;
}

/** What the ingress network has in clusters whose attachments do not name it. */
const INGRESS = Subnet.of(INGRESS_SUBNET);

/** Whether the attachment is to the ingress network, which every node knows. */
export function isOnIngress({ Network, Addresses }: NetworkAttachment): boolean {
  return (
    Network.Spec.Ingress ??
    Addresses.some((text) => {
      const address = parseCidr(text)?.address;
      return address !== undefined && INGRESS.offsetOf(address) !== undefined;
    })
  );
}

/**
 * Which objects a task needs, each once. Nothing else decides this: managers send a node what its tasks
 * need, and the agent waits for it before it prepares a task. A task that has ended needs nothing.
 */
export function needsOf(task: Task): readonly Need[] {
  if (isTerminal(task.Status.State)) return [];
  const { Secrets = [], Configs = [] } = task.Spec.ContainerSpec ?? {};
  const needs: Need[] = [];
  for (const attachment of task.NetworksAttachments ?? []) {
    const { Network } = attachment;
    const isOptional = isOnIngress(attachment);
    const need = { kind: 'network', id: Network.ID, name: Network.Spec.Name } as const;
    needs.push(isOptional ? { ...need, isOptional } : need);
  }
  for (const { SecretID, SecretName } of Secrets)
    needs.push({ kind: 'secret', id: SecretID, name: SecretName });
  for (const { ConfigID, ConfigName } of Configs)
    needs.push({ kind: 'config', id: ConfigID, name: ConfigName });
  // Most tasks need one network, and nothing twice.
  if (needs.length < 2) return needs;
  return [...new Map(needs.map((need) => [`${need.kind}/${need.id}`, need])).values()];
}
