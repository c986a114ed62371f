import { ApiError, type AttachRequest, type Network } from '@swarm/api';
import type { View } from '../store/store.js';

const CONTAINER_ID = /^[0-9a-f]{64}$/;
/** What engines accept as a container's name; aliases are names in DNS as well. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/**
 * The network that a container may join.
 * @param target its id or name
 * @throws ApiError NOT_FOUND; PERMISSION_DENIED in Docker's words
 */
export function attachableNetwork(view: View, target: string): Network {
  const network = view.get('network', target) ?? view.byName('network', target);
  if (network === undefined) throw new ApiError('NOT_FOUND', `network ${target} not found`);
  if (!network.Spec.Attachable || network.Spec.Ingress) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `Could not attach to network ${target}: rpc error: code = PermissionDenied desc = network ${target} not manually attachable`,
    );
  }
  return network;
}

/** @throws ApiError INVALID_ARGUMENT */
export function refuseBadNames({ ContainerID, Name, Networks, Ports }: AttachRequest): void {
  if (!CONTAINER_ID.test(ContainerID))
    throw invalid('ContainerID must be the whole id of a container, 64 hexadecimal digits');
  const names = [Name, ...Networks.flatMap(({ Aliases }) => Aliases)];
  const bad = names.find((name) => !NAME.test(name));
  if (bad !== undefined)
    throw invalid(
      `"${bad}" cannot be the name of a container: use letters, digits, ".", "-" and "_"`,
    );
  if (Networks.length === 0) throw invalid('Networks must name at least one network');
  if (Ports.some(({ PublishMode, PublishedPort }) => PublishMode !== 'host' || !PublishedPort))
    throw invalid('Ports must be published in host mode, each at a port of the node');
}

function invalid(message: string): ApiError {
  return new ApiError('INVALID_ARGUMENT', message);
}
