import { isDeepStrictEqual } from 'node:util';
import {
  isPort,
  isTaskAddress,
  isTunnelled,
  type MeshEndpoint,
  type MeshPeer,
  type MeshPort,
  type MeshState,
  type Node,
  nodeBlock,
  parseCidr,
  type PortConfig,
  type PortKey,
  meshPortKey,
  publishedKey,
  type Service,
  SHARED_PORT_FIRST,
  SHARED_PORT_LAST,
  Subnet,
  type Task,
} from '@swarm/api';
import { portOptions, revisionWeights } from './mesh-options.js';
import { clusterPortUse } from '../allocator/cluster-ports.js';
import { hostAddress, ingressSubnet } from '../allocator/node-mesh.js';
import type { View } from '../store/store.js';

/**
 * The state that all meshes must hold, computed from the replicated state alone. Ports come in order of their
 * service's id, endpoints in order of their task's id.
 * @param generation the log index that last changed the result
 */
export function meshState(view: View, generation: number): MeshState {
  const ports = new Map<PortKey, MeshPort>();
  for (const service of view.list('service')) {
    for (const port of servicePorts(view, service)) {
      // The allocator gives a port once. If two services have it, the first keeps it everywhere.
      if (!ports.has(meshPortKey(port))) ports.set(meshPortKey(port), port);
    }
  }
  return { generation, peers: meshPeers(view), ports: [...ports.values()] };
}

/**
 * The nodes that have a place in the mesh. A node that is down keeps its place, marked, since it may still
 * route. If the store has two nodes at one index or tunnel address, the living one is the peer, else the one
 * with the lower id; the dispatcher ensures that at most one of them lives.
 */
export function meshPeers(view: View): MeshPeer[] {
  const peers = new Map<string, MeshPeer>();
  const taken = new Map<number | string, string>();
  const network = ingressSubnet(view);
  const take = (node: Node): void => {
    const peer = meshPeer(node, network);
    if (peer === undefined) return;
    const keys = peer.userspace ? [peer.index] : [peer.index, peer.address];
    if (keys.some((key) => taken.has(key))) return;
    for (const key of keys) taken.set(key, peer.nodeId);
    peers.set(peer.nodeId, peer);
  };
  const down: Node[] = [];
  for (const node of view.list('node')) {
    if (node.Status.State === 'ready' || node.Status.State === 'disconnected') take(node);
    else down.push(node);
  }
  for (const node of down) take(node);
  return [...peers.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
}

/**
 * Where others send a node's tunnel packets, or reach the tasks of a userspace node. Undefined until the
 * allocator gives it a place, while another node has its address, and when the stored place is invalid.
 * @param network the subnet that contains the nodes' blocks
 */
export function meshPeer(node: Node, network: Subnet): MeshPeer | undefined {
  if (node.Mesh === undefined) return undefined;
  const { Index, Subnet: block } = node.Mesh;
  const address = hostAddress(node.Mesh.Address);
  if (address === undefined || block !== nodeBlock(network, Index)?.toString()) return undefined;
  const { Ipv6Addresses: ipv6Addresses = [] } = node.Description ?? {};
  return {
    nodeId: node.ID,
    index: Index,
    address,
    subnet: block,
    ...(node.Status.State === 'down' ? { down: true } : {}),
    ...(isUserspace(node) ? { userspace: true } : {}),
    ...(ipv6Addresses.length > 0 && { ipv6Addresses }),
  };
}

/** Whether the node says that it has no kernel networking. */
function isUserspace(node: Node): boolean {
  return !isTunnelled(node.Description);
}

/** Whether two versions of a node give its tasks the same endpoints. */
export function sameToEndpoints(a: Node, b: Node): boolean {
  return (
    (a.Status.State === 'down') === (b.Status.State === 'down') &&
    a.Mesh?.Address === b.Mesh?.Address &&
    a.Mesh?.Index === b.Mesh?.Index &&
    a.Mesh?.Subnet === b.Mesh?.Subnet &&
    isUserspace(a) === isUserspace(b) &&
    isDeepStrictEqual(a.Description?.Ipv6Addresses, b.Description?.Ipv6Addresses)
  );
}

/** The ports that a service publishes on every node, including those without an endpoint. */
export function servicePorts(view: View, service: Service): MeshPort[] {
  const published = (service.Endpoint.Ports ?? []).filter(
    // Whatever a service was given, nodes must keep what they talk to each other by.
    (port) => isIngress(port) && clusterPortUse(view, publishedKey(port)) === undefined,
  );
  if (published.length === 0) return [];
  const ingress: Ingress = { id: view.ingressNetwork()?.ID, subnet: ingressSubnet(view) };
  const tasks = [...view.tasksByService(service.ID)].flatMap(
    (task) => serving(view, task, ingress) ?? [],
  );
  const weights = revisionWeights(
    service,
    tasks.map(({ task }) => task),
  );
  return published.map((port) => ({
    protocol: port.Protocol,
    publishedPort: port.PublishedPort!,
    serviceId: service.ID,
    ...portOptions(service, port),
    endpoints: tasks.flatMap((each) => {
      const found = endpoint(each, port);
      if (found === undefined) return [];
      const weight = weights.get(each.task.ID);
      return [weight === undefined ? found : { ...found, weight }];
    }),
  }));
}

/** Whether the task publishes a port on every node. */
export function publishesIngress(task: Task): boolean {
  return task.Endpoint.Ports.some(isIngress);
}

/** Whether a task that should stop may still get traffic from nodes that do not know that yet. */
export function mayStillServe(task: Task): boolean {
  return publishesIngress(task) && task.Status.State === 'running';
}

function isIngress(port: PortConfig): boolean {
  return port.PublishMode === 'ingress' && port.PublishedPort !== undefined;
}

/** The network that ports are published on. */
interface Ingress {
  readonly id: string | undefined;
  readonly subnet: Subnet;
}

/** A task that may get traffic, its node as a peer, and the network that the traffic uses. */
interface Serving {
  readonly task: Task;
  readonly peer: MeshPeer;
  readonly networkId: string | undefined;
}

/**
 * Undefined when the task gets no traffic: it must run, be ready, not be about to stop, and be on a node
 * that is up.
 */
function serving(view: View, task: Task, { id, subnet }: Ingress): Serving | undefined {
  if (task.DesiredState !== 'running' || task.Status.State !== 'running') return undefined;
  if (task.Status.Ready === false || task.NodeID === undefined) return undefined;
  const node = view.get('node', task.NodeID);
  const peer = node && meshPeer(node, subnet);
  return peer === undefined || peer.down === true ? undefined : { task, peer, networkId: id };
}

/** Where the task listens for a published port; undefined when it does not, as with an older spec. */
function endpoint(serving: Serving, published: PortConfig): MeshEndpoint | undefined {
  const { task, peer } = serving;
  const same = (port: PortConfig) =>
    port.Protocol === published.Protocol && port.PublishedPort === published.PublishedPort;
  const own = task.Endpoint.Ports.find((port) => isIngress(port) && same(port));
  if (own === undefined) return undefined;
  if (peer.userspace) {
    const where = onHost(task, peer, own);
    return where && { taskId: task.ID, nodeId: peer.nodeId, ...where };
  }
  const where = onBlock(serving, own);
  const ipv6 = task.Status.Ipv6 === true ? { ipv6: true } : {};
  return where && { taskId: task.ID, nodeId: peer.nodeId, ...where, ...ipv6 };
}

type Place = Pick<MeshEndpoint, 'address' | 'port'>;

/**
 * The place of a task with an address of its own: its address in its node's block, on the network that the
 * port is published on, and the spec's port.
 */
function onBlock({ task, peer, networkId }: Serving, own: PortConfig): Place | undefined {
  if (!isPort(own.TargetPort)) return undefined;
  const block = Subnet.parse(peer.subnet);
  for (const { Network, Addresses } of task.NetworksAttachments ?? []) {
    if (Network.ID !== networkId) continue;
    for (const text of Addresses) {
      const address = parseCidr(text)?.address;
      if (address && block && isTaskAddress(block, address))
        return { address, port: own.TargetPort };
    }
  }
  return undefined;
}

/**
 * The place of a task in its host's network: its node's address, whatever its status says, and the port that
 * the node gave it within the shared range. So a node that lies can only lead traffic for its own tasks to
 * itself, and to no port of the system.
 */
function onHost(task: Task, peer: MeshPeer, own: PortConfig): Place | undefined {
  const ports: unknown = task.Status.PortStatus?.Ports;
  const given = (Array.isArray(ports) ? (ports as readonly Partial<PortConfig>[]) : []).find(
    (port) => port?.Protocol === own.Protocol && port.PublishedPort === own.PublishedPort,
  )?.TargetPort;
  if (!isPort(given) || given < SHARED_PORT_FIRST || given > SHARED_PORT_LAST) return undefined;
  return { address: peer.address, port: given };
}
