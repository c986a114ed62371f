import type { TaskSpec } from '../objects/service.js';

/**
 * Docker's networks that exist on every host, by name; the name is the id as well:
 *
 * - **host**: the host's own network.
 * - **none**: nothing but a loopback.
 * - **bridge**: the default bridge of the host's engine.
 *
 * Nothing of them is stored or allocated; a node's runtime puts the task into one.
 */
export const PREDEFINED_NETWORKS = ['host', 'none', 'bridge'] as const;

export type PredefinedNetwork = (typeof PREDEFINED_NETWORKS)[number];

/** The network that the name stands for; undefined for networks of the cluster. */
export function predefinedNetwork(name: string): PredefinedNetwork | undefined {
  return PREDEFINED_NETWORKS.find((each) => each === name);
}

/** The predefined network that the task asks for. It then has no other (`checkServiceSpec`). */
export function predefinedNetworkOf(
  spec: Pick<TaskSpec, 'Networks'>,
): PredefinedNetwork | undefined {
  for (const { Target } of spec.Networks ?? []) {
    const network = predefinedNetwork(Target);
    if (network !== undefined) return network;
  }
  return undefined;
}
