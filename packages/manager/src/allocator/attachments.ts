import { type Network, predefinedNetworkOf, type Task } from '@swarm/api';
import type { View } from '../store/store.js';

/** The networks of a task, or why it cannot have them yet, as a sentence for its status. */
export type WantedNetworks =
  | { readonly networks: readonly Network[] }
  | { readonly missing: string };

/**
 * Decides which networks a task is attached to: those its spec names, and the ingress network if it
 * publishes ports. A predefined network (host, none, bridge) is not one of the cluster's. Nothing else decides
 * this.
 */
export function wantedNetworks(view: View, task: Pick<Task, 'Spec' | 'Endpoint'>): WantedNetworks {
  // The runtime puts the task into it; it has no address of the cluster's.
  if (predefinedNetworkOf(task.Spec) !== undefined) return { networks: [] };
  const networks = new Map<string, Network>();
  for (const { Target } of task.Spec.Networks ?? []) {
    const network = view.get('network', Target) ?? view.byName('network', Target);
    if (network === undefined) {
      return {
        missing: `its network ${Target} does not exist: create it, or remove it from the service`,
      };
    }
    networks.set(network.ID, network);
  }
  // Host-mode ports count too: their traffic is translated to an address of the task.
  if (task.Endpoint.Ports.length > 0) {
    const ingress = view.ingressNetwork();
    if (ingress === undefined) {
      return {
        missing:
          'its ports are published, but the cluster has no ingress network: create one (swarm network create --ingress)',
      };
    }
    networks.set(ingress.ID, ingress);
  }
  return { networks: [...networks.values()] };
}
