import { ApiError, type Network, predefinedNetwork, type ServiceSpec } from '@swarm/api';
import { isIngress } from '../allocator/publish-conflict.js';
import type { View } from '../store/store.js';
import { find } from './lookup.js';

/**
 * The spec with its networks by id, however the client named them.
 * @throws ApiError NOT_FOUND for a network that does not exist; INVALID_ARGUMENT for one that services cannot
 *   name, or that is named twice
 */
export function withNetworkIds(view: View, spec: ServiceSpec): ServiceSpec {
  refuseWithoutIngress(view, spec);
  const networks = spec.TaskTemplate.Networks;
  if (networks === undefined || networks.length === 0) return spec;
  const seen = new Map<string, string>();
  const Networks = networks.map((attachment) => {
    if (predefinedNetwork(attachment.Target) !== undefined) return attachment;
    const network = attachable(view, attachment.Target);
    const other = seen.get(network.ID);
    if (other !== undefined) {
      throw new ApiError(
        'INVALID_ARGUMENT',
        `network "${attachment.Target}": a service is attached to a network once, and "${other}" is the same; remove one`,
      );
    }
    seen.set(network.ID, attachment.Target);
    return { ...attachment, Target: network.ID };
  });
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks } };
}

function attachable(view: View, target: string): Network {
  const network = find(view, 'network', target);
  if (!network.Spec.Ingress) return network;
  throw new ApiError(
    'INVALID_ARGUMENT',
    `Service cannot be explicitly attached to the ingress network "${network.Spec.Name}"; publish a port instead`,
  );
}

/**
 * Refuses a spec, as of an earlier revision, whose networks were removed since.
 * @throws ApiError NOT_FOUND
 */
export function refuseMissingNetworks(view: View, spec: ServiceSpec): void {
  refuseWithoutIngress(view, spec);
  for (const { Target } of spec.TaskTemplate.Networks ?? []) {
    if (predefinedNetwork(Target) === undefined) attachable(view, Target);
  }
}

/** @throws ApiError FAILED_PRECONDITION when a user removed the ingress network that the spec needs */
function refuseWithoutIngress(view: View, spec: ServiceSpec): void {
  if (spec.EndpointSpec?.Ports?.some(isIngress) !== true) return;
  if (view.cluster()?.IngressRemoved !== true || view.ingressNetwork() !== undefined) return;
  throw new ApiError(
    'FAILED_PRECONDITION',
    'service needs ingress network, but no ingress network is present: create one with ' +
      '"swarm network create --ingress --driver overlay NAME"',
  );
}
