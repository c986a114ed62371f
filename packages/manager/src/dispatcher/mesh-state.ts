import type {
  MeshEndpoint,
  MeshPeer,
  MeshPort,
  MeshState,
  Node,
  PortConfig,
  PortProtocol,
  Service,
  Task,
} from '@swarm/api';
import type { View } from '../store/store.js';

/** Names a published port: `tcp/8080`. */
export function portKey(port: { protocol: PortProtocol; publishedPort: number }): string {
  return `${port.protocol}/${port.publishedPort}`;
}

/**
 * What all meshes must do, from the replicated state alone. Ports come in order of their service's id,
 * endpoints in order of their task's.
 * @param generation the log index that last changed the result
 */
export function meshState(view: View, generation: number): MeshState {
  const ports = new Map<string, MeshPort>();
  for (const service of view.list('service')) {
    for (const port of servicePorts(view, service)) {
      // The allocator gives a port once. Should two services have it, the first keeps it everywhere.
      if (!ports.has(portKey(port))) ports.set(portKey(port), port);
    }
  }
  return { generation, peers: meshPeers(view), ports: [...ports.values()] };
}

/** The nodes that have a place in the mesh. A node that is down keeps it, marked: it may still route. */
export function meshPeers(view: View): MeshPeer[] {
  const peers: MeshPeer[] = [];
  for (const node of view.list('node')) {
    const peer = meshPeer(node);
    if (peer !== undefined) peers.push(peer);
  }
  return peers;
}

/** A node as others send it tunnel packets; undefined before the allocator gave it a place. */
export function meshPeer(node: Node): MeshPeer | undefined {
  if (node.Mesh === undefined) return undefined;
  const { Index, Address, Subnet } = node.Mesh;
  const peer = { nodeId: node.ID, index: Index, address: Address, subnet: Subnet };
  return node.Status.State === 'down' ? { ...peer, down: true } : peer;
}

/** The ports that a service publishes on every node, also those without an endpoint. */
export function servicePorts(view: View, service: Service): MeshPort[] {
  const published = (service.Endpoint.Ports ?? []).filter(isIngress);
  if (published.length === 0) return [];
  const tasks = [...view.tasksByService(service.ID)].filter((task) => isServing(view, task));
  return published.map((port) => ({
    protocol: port.Protocol,
    publishedPort: port.PublishedPort!,
    serviceId: service.ID,
    endpoints: tasks.flatMap((task) => endpoint(task, port) ?? []),
  }));
}

/** Whether the task publishes a port on every node. */
export function publishesIngress(task: Task): boolean {
  return task.Endpoint.Ports.some(isIngress);
}

/** Whether a task that shall stop may still get traffic from nodes that do not know it yet. */
export function mayStillServe(task: Task): boolean {
  return publishesIngress(task) && task.Status.State === 'running';
}

function isIngress(port: PortConfig): boolean {
  return port.PublishMode === 'ingress' && port.PublishedPort !== undefined;
}

/** Only a task that runs, is ready, shall run and is on a node that can be reached gets traffic. */
function isServing(view: View, task: Task): boolean {
  if (task.DesiredState !== 'running' || task.Status.State !== 'running') return false;
  if (task.Status.Ready === false || task.NodeID === undefined) return false;
  const node = view.get('node', task.NodeID);
  return node !== undefined && node.Status.State !== 'down';
}

/** Where the task listens for a published port; undefined when it does not (it has an older spec). */
function endpoint(task: Task, published: PortConfig): MeshEndpoint | undefined {
  const same = (port: PortConfig) =>
    port.Protocol === published.Protocol && port.PublishedPort === published.PublishedPort;
  const own = task.Endpoint.Ports.find((port) => isIngress(port) && same(port));
  if (own === undefined) return undefined;
  const where = address(task, own);
  if (where === undefined) return undefined;
  return { taskId: task.ID, nodeId: task.NodeID!, ...where };
}

function address(task: Task, own: PortConfig): { address: string; port: number } | undefined {
  // A node without kernel networking: its tasks listen on ports of their own (TaskStatus.Address).
  const status = task.Status;
  if (status.Address !== undefined) {
    const actual = status.PortStatus?.Ports?.find(
      (port) => port.Protocol === own.Protocol && port.PublishedPort === own.PublishedPort,
    );
    return { address: status.Address, port: actual?.TargetPort ?? own.TargetPort };
  }
  const attachments = task.NetworksAttachments ?? [];
  const ingress = attachments.find((attachment) => attachment.Network.Spec.Name === 'ingress');
  const cidr = (ingress ?? attachments[0])?.Addresses[0];
  if (cidr === undefined) return undefined;
  return { address: cidr.split('/', 1)[0]!, port: own.TargetPort };
}
