import {
  filled,
  isPort,
  isTaskAddress,
  type MeshEndpoint,
  type MeshPeer,
  type MeshPort,
  type MeshState,
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
import { enforcesRules } from '../allocator/enforces-rules.js';
import { ingressSubnet, meshIngress } from '../allocator/node-mesh.js';
import type { View } from '../store/store.js';
import { isOnOverlay, meshMember, meshService } from './mesh-overlays.js';
import { meshPeers, peerWithTraffic } from './mesh-peers.js';

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
  const services = [...view.list('service')].flatMap((service) => meshService(view, service) ?? []);
  const members = [...view.list('task')].flatMap((task) => meshMember(view, task) ?? []);
  const ingress = meshIngress(view);
  return {
    ...(ingress && { ingress }),
    ...{ generation, peers: meshPeers(view), ports: [...ports.values()] },
    ...filled({
      services: services.sort((a, b) => (a.serviceId < b.serviceId ? -1 : 1)),
      members: members.sort((a, b) => (a.taskId < b.taskId ? -1 : 1)),
    }),
  };
}

/** The ports that a service publishes on every node, including those without an endpoint. */
export function servicePorts(view: View, service: Service): MeshPort[] {
  const published = (service.Endpoint.Ports ?? []).filter(
    // Whatever a service was given, nodes must keep what they talk to each other by.
    (port) => isIngress(port) && clusterPortUse(view, publishedKey(port)) === undefined,
  );
  if (published.length === 0) return [];
  const ingress: Ingress = { id: view.ingressNetwork()?.ID, subnet: ingressSubnet(view) };
  const hasRules = service.Spec.EndpointSpec?.Allow !== undefined;
  const tasks = [...view.tasksByService(service.ID)].flatMap((task) => {
    const found = serving(view, task, ingress);
    // A task that was there before the rules gets nothing where nobody enforces them.
    const node = hasRules && found ? view.get('node', found.peer.nodeId) : undefined;
    return found === undefined || (node && !enforcesRules(node)) ? [] : [found];
  });
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
export function mayStillServe(view: View, task: Task): boolean {
  return task.Status.State === 'running' && (publishesIngress(task) || isOnOverlay(view, task));
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

function serving(view: View, task: Task, { id, subnet }: Ingress): Serving | undefined {
  const peer = peerWithTraffic(view, task, subnet);
  return peer && { task, peer, networkId: id };
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
