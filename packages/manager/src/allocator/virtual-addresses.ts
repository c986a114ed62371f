import { type Network, predefinedNetwork, type Service, type ServiceSpec } from '@swarm/api';
import type { View } from '../store/store.js';

/** The networks of the cluster in which a service has virtual addresses, by their ids. */
export function vipNetworkIds({ TaskTemplate, EndpointSpec }: ServiceSpec): readonly string[] {
  if (EndpointSpec?.Mode === 'dnsrr') return [];
  const targets = (TaskTemplate.Networks ?? []).map(({ Target }) => Target);
  return targets.filter((target) => predefinedNetwork(target) === undefined);
}

/** Whether the service has virtual addresses in just the networks where it should: all families come at once. */
export function hasVirtualAddresses({
  Spec,
  Endpoint,
}: Pick<Service, 'Spec' | 'Endpoint'>): boolean {
  const wanted = vipNetworkIds(Spec);
  const present = Endpoint.VirtualIPs ?? [];
  return (
    wanted.every((id) => present.some(({ NetworkID }) => NetworkID === id)) &&
    present.every(({ NetworkID }) => wanted.includes(NetworkID))
  );
}

/** The networks themselves, or why the service cannot have virtual addresses, as a sentence for the user. */
export function vipNetworks(
  view: View,
  { Spec }: Service,
): { readonly networks: readonly Network[] } | { readonly error: string } {
  const networks: Network[] = [];
  for (const id of vipNetworkIds(Spec)) {
    const network = view.get('network', id);
    if (network === undefined) {
      return {
        error: `its network ${id} does not exist: create it, or remove it from the service`,
      };
    }
    networks.push(network);
  }
  return { networks };
}
