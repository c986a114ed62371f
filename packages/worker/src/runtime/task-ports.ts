import {
  isEncrypted,
  isOnIngress,
  type Network,
  networkMtu,
  parseCidr,
  type PortConfig,
  type Task,
} from '@swarm/api';
import type { HostPort, NetworkAttachment, OverlayNetwork } from '@swarm/routing-mesh';

/**
 * The task's attachments to its networks, for the mesh; empty in the host's network.
 * @param network one of its networks by id; undefined if this node was not sent it, as managers of before do
 */
export function taskAttachments(
  task: Task,
  network: (id: string) => Network | undefined,
): readonly NetworkAttachment[] {
  return (task.NetworksAttachments ?? []).map(({ Network: { ID }, Addresses }) => {
    const overlay = overlayNetwork(network(ID));
    return { networkId: ID, addresses: Addresses, ...(overlay && { overlay }) };
  });
}

/** The network as the mesh has to know it; undefined for the ingress network. */
function overlayNetwork(network: Network | undefined): OverlayNetwork | undefined {
  if (network === undefined || network.Spec.Ingress) return undefined;
  const { ID, Spec, Subnets } = network;
  const mtuBytes = networkMtu(Spec);
  return {
    networkId: ID,
    name: Spec.Name,
    subnets: Subnets.map(({ Subnet }) => Subnet),
    isInternal: Spec.Internal,
    isEncrypted: isEncrypted(Spec),
    ...(mtuBytes !== undefined && { mtuBytes }),
  };
}

/** Whether the task has addresses besides those on the ingress network. */
export function isOnOverlay(task: Task): boolean {
  return (task.NetworksAttachments ?? []).some((one) => !isOnIngress(one));
}

/** The task's addresses on all its networks, without prefix lengths. */
export function taskAddresses(task: Task): readonly string[] {
  return (task.NetworksAttachments ?? []).flatMap(({ Addresses }) =>
    Addresses.flatMap((text) => parseCidr(text)?.address ?? []),
  );
}

/** In its host's network the task is on each of its networks at the one address that it listens on. */
export function sharedAttachments(task: Task, address: string): readonly NetworkAttachment[] {
  const prefixLength = address.includes(':') ? 128 : 32;
  const addresses = [`${address}/${prefixLength}`];
  return (task.NetworksAttachments ?? []).map(({ Network: { ID } }) => ({
    networkId: ID,
    addresses,
  }));
}

/** Undefined if each attachment has an address; otherwise what is wrong, for the user. */
export function attachmentProblem(task: Task): string | undefined {
  const bad = (task.NetworksAttachments ?? []).find(
    ({ Addresses }) => Addresses.length === 0 || Addresses.some((text) => !parseCidr(text)),
  );
  return (
    bad &&
    `NetworksAttachments has no address for the task on network ${bad.Network.ID}; the allocator gives one.`
  );
}

/** Ports that a node chooses for host ports that a spec leaves open: the dynamic ones of RFC 6335. */
export const OPEN_PORT_FIRST = 49_152;
export const OPEN_PORT_LAST = 65_535;

/** Ports that the task's own host publishes for it, as its status reports them. */
export function hostPublished(task: Task): readonly PortConfig[] {
  return task.Endpoint.Ports.filter((port) => port.PublishMode === 'host');
}

/**
 * The task with a port of this host for each that its spec leaves open, as with Docker: the one that it had,
 * else one at random. Whether that is free shows when the task is attached.
 * @param known the ports of its status
 * @param random 0 ≤ x < 1
 */
export function withHostPorts(
  task: Task,
  known: readonly PortConfig[],
  random: () => number,
): Task {
  const isOpen = (port: PortConfig) => port.PublishMode === 'host' && !port.PublishedPort;
  if (!task.Endpoint.Ports.some(isOpen)) return task;
  const count = OPEN_PORT_LAST - OPEN_PORT_FIRST + 1;
  const Ports = task.Endpoint.Ports.map((port) => {
    if (!isOpen(port)) return port;
    const had = known.find(
      (one) =>
        one.PublishMode === 'host' &&
        one.Protocol === port.Protocol &&
        one.TargetPort === port.TargetPort,
    );
    const PublishedPort = had?.PublishedPort ?? OPEN_PORT_FIRST + Math.floor(random() * count);
    return { ...port, PublishedPort };
  });
  return { ...task, Endpoint: { Ports } };
}

/** Ports that the task's own host publishes for it, for the mesh. */
export function hostPorts(task: Task): readonly HostPort[] {
  return hostPublished(task).map(({ Protocol, PublishedPort = 0, TargetPort, HostIP }) => ({
    protocol: Protocol,
    publishedPort: PublishedPort,
    targetPort: TargetPort,
    ...(HostIP !== undefined && { hostIp: HostIP }),
  }));
}

/** `80/tcp`. */
export function portName(port: Pick<PortConfig, 'TargetPort' | 'Protocol'>): string {
  return `${port.TargetPort}/${port.Protocol}`;
}
