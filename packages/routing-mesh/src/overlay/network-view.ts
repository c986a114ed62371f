import type { IpAddress } from '@swarm/api';
import type {
  CheckedMember,
  CheckedOverlay,
  CheckedPeer,
  CheckedService,
  CheckedState,
} from '../checked.js';
import type { NetworkId } from '../layout.js';

/** A service as the tasks of one network find it. */
export interface ViewedService {
  readonly serviceId: string;
  /** Its name and its aliases on this network, in lower case, each once. */
  readonly names: readonly string[];
  /** Empty when its names lead to its tasks. */
  readonly vips: readonly IpAddress[];
}

/** A task as the tasks of one network find it. */
export interface ViewedMember {
  readonly member: CheckedMember;
  /** On this network, at least one. */
  readonly addresses: readonly IpAddress[];
  /** Its node; undefined when this node has no way to that. */
  readonly peer: CheckedPeer | undefined;
}

/** What the tasks of this node see of one of their overlay networks. */
export interface NetworkView {
  readonly overlay: CheckedOverlay;
  readonly services: readonly ViewedService[];
  readonly members: readonly ViewedMember[];
}

/**
 * The networks that tasks of this node are on.
 * @param peers nodes that this one can reach, itself included
 */
export function viewNetworks(
  overlays: Iterable<CheckedOverlay>,
  { services, members }: Pick<CheckedState, 'services' | 'members'>,
  peers: ReadonlyMap<string, CheckedPeer>,
): readonly NetworkView[] {
  const views = new Map<NetworkId, { services: ViewedService[]; members: ViewedMember[] }>();
  const found: NetworkView[] = [];
  for (const overlay of overlays) {
    const view = { services: [], members: [] };
    views.set(overlay.networkId, view);
    found.push({ overlay, ...view });
  }
  if (found.length === 0) return found;
  for (const service of services.values()) {
    for (const [networkId, { vips }] of service.networks) {
      const { serviceId } = service;
      const names = namesOn(service, networkId);
      views.get(networkId)?.services.push({ serviceId, names, vips });
    }
  }
  for (const member of members.values()) {
    const peer = peers.get(member.nodeId);
    for (const [networkId, addresses] of member.networks) {
      if (addresses.length > 0) views.get(networkId)?.members.push({ member, addresses, peer });
    }
  }
  return found;
}

function namesOn(service: CheckedService, networkId: NetworkId): readonly string[] {
  const aliases = service.networks.get(networkId)?.aliases ?? [];
  return [...new Set([service.name, ...aliases])];
}
