import {
  compareStates,
  isTerminal,
  type MeshMember,
  type MeshMemberNetwork,
  type MeshService,
  type MeshServiceNetwork,
  nameInStack,
  type Network,
  parseCidr,
  type Service,
  type Task,
  taskNames,
} from '@swarm/api';
import { ingressSubnet } from '../allocator/node-mesh.js';
import type { View } from '../store/store.js';
import { memberWeight } from './mesh-options.js';
import { peerWithTraffic } from './mesh-peers.js';

/**
 * A service as tasks on its overlay networks find it, and who may connect to it; undefined when it is on none and
 * open, or is being removed. A network whose virtual address is not allocated yet is left out: until then its name
 * is not known there.
 */
export function meshService(view: View, service: Service): MeshService | undefined {
  if (service.PendingDelete === true) return undefined;
  const { Name, TaskTemplate, Networks, EndpointSpec } = service.Spec;
  const hasVips = (EndpointSpec?.Mode ?? 'vip') === 'vip';
  const ofStack = nameInStack(service.Spec);
  const networks = new Map<string, MeshServiceNetwork>();
  for (const { Target, Aliases } of TaskTemplate.Networks ?? Networks ?? []) {
    const network = overlayNetwork(view, Target);
    if (network === undefined) continue;
    const vips = hasVips ? vipsOn(service, network.ID) : [];
    if (hasVips && vips.length === 0) continue;
    const aliases = [...(Aliases ?? []), ...(ofStack === undefined ? [] : [ofStack])];
    networks.set(network.ID, { networkId: network.ID, vips, aliases });
  }
  const allow = EndpointSpec?.Allow;
  if (networks.size === 0 && allow === undefined) return undefined;
  return {
    serviceId: service.ID,
    name: Name,
    networks: [...networks.values()],
    ...(allow !== undefined && { allow }),
  };
}

function vipsOn({ Endpoint }: Service, networkId: string): string[] {
  return (Endpoint.VirtualIPs ?? []).flatMap(({ NetworkID, Addr }) =>
    NetworkID === networkId ? (parseCidr(Addr)?.address ?? []) : [],
  );
}

function overlayNetwork(view: View, target: string): Network | undefined {
  const network = view.get('network', target) ?? view.byName('network', target);
  return network?.Spec.Ingress === true ? undefined : network;
}

/**
 * A task as others on its overlay networks find it, from when it has a node until it has ended; undefined when it
 * has no addresses on one.
 */
export function meshMember(view: View, task: Task): MeshMember | undefined {
  const { ID, NodeID, ServiceID, Status } = task;
  if (NodeID === undefined || isTerminal(Status.State)) return undefined;
  if (compareStates(Status.State, 'assigned') < 0) return undefined;
  const networks: MeshMemberNetwork[] = [];
  for (const { Network, Addresses } of task.NetworksAttachments ?? []) {
    if (overlayNetwork(view, Network.ID) === undefined) continue;
    const addresses = Addresses.flatMap((text) => parseCidr(text)?.address ?? []);
    if (addresses.length > 0) networks.push({ networkId: Network.ID, addresses });
  }
  if (networks.length === 0) return undefined;
  const node = view.get('node', NodeID);
  const weight = memberWeight(view.get('service', ServiceID), task);
  const peer = peerWithTraffic(view, task, ingressSubnet(view));
  return {
    taskId: ID,
    nodeId: NodeID,
    serviceId: ServiceID,
    names: taskNames(task, {
      id: NodeID,
      hostname: node?.Description?.Hostname ?? '',
      platform: node?.Description?.Platform ?? { Architecture: '', OS: '' },
    }),
    networks,
    serves: peer !== undefined && peer.userspace !== true,
    ...(weight !== undefined && { weight }),
  };
}

/** Whether others may reach the task by its service's names or virtual addresses. */
export function isOnOverlay(view: View, task: Task): boolean {
  return (task.NetworksAttachments ?? []).some(
    ({ Network }) => overlayNetwork(view, Network.ID) !== undefined,
  );
}
