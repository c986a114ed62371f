import { type Network, parseCidr, type Service, type Task } from '@swarm/api';
import { nodeNameOf } from '../../store/object-keys.js';
import type { View } from '../../store/store.js';

interface ShownService {
  VIP: string;
  Ports: string[];
  LocalLBIndex: number;
  readonly Tasks: object[];
}

/** What `verbose=true` adds to a network: the services and running tasks on it, and their nodes. */
export function presentNetworkUse(view: View, network: Network): object {
  const services = new Map<string, ShownService>();
  const peers = new Map<string, object>();
  for (const service of view.servicesByNetwork(network.ID)) {
    services.set(service.Spec.Name, shown(service, network));
  }
  for (const task of view.tasksByNetwork(network.ID)) {
    if (task.Status.State !== 'running') continue;
    const node = task.NodeID === undefined ? undefined : view.get('node', task.NodeID);
    const address = node?.Mesh?.Address ?? node?.Status.Addr ?? '';
    if (node !== undefined) peers.set(node.ID, { Name: nodeNameOf(node) ?? node.ID, IP: address });
    const service = view.get('service', task.ServiceID);
    let entry = services.get(task.ServiceName);
    if (entry === undefined) {
      entry = service === undefined ? emptyService() : shown(service, network);
      services.set(task.ServiceName, entry);
    }
    entry.Tasks.push({
      Name: task.Name,
      EndpointID: task.ID,
      EndpointIP: addressIn(task, network.ID),
      Info: { 'Host IP': address },
    });
  }
  return { Peers: [...peers.values()], Services: Object.fromEntries(services) };
}

function shown({ Endpoint }: Service, { ID, Spec }: Network): ShownService {
  const vip = Endpoint.VirtualIPs?.find(({ NetworkID }) => NetworkID === ID)?.Addr;
  const ports = Spec.Ingress ? (Endpoint.Ports ?? []) : [];
  return {
    ...emptyService(),
    VIP: parseCidr(vip)?.address ?? '',
    Ports: ports.map(
      ({ TargetPort, PublishedPort = 0 }) => `Target: ${TargetPort}, Publish: ${PublishedPort}`,
    ),
  };
}

/** Docker numbers the load balancers of a node; ours have no number. */
function emptyService(): ShownService {
  return { VIP: '', Ports: [], LocalLBIndex: 0, Tasks: [] };
}

function addressIn({ NetworksAttachments = [] }: Task, networkId: string): string {
  const own = NetworksAttachments.find(({ Network }) => Network.ID === networkId);
  return parseCidr(own?.Addresses[0])?.address ?? '';
}
