import { parseCidr, type PortConfig, type Task } from '@swarm/api';
import type { HostPort, NetworkAttachment } from '@swarm/routing-mesh';

/** The task's attachments to its networks, for the mesh; empty in the host's network. */
export function taskAttachments(task: Task): readonly NetworkAttachment[] {
  return (task.NetworksAttachments ?? []).map(({ Network, Addresses }) => ({
    networkId: Network.ID,
    addresses: Addresses,
  }));
}

/** The task's addresses on all its networks, without prefix lengths. */
export function taskAddresses(task: Task): readonly string[] {
  return taskAttachments(task).flatMap(({ addresses }) =>
    addresses.flatMap((text) => parseCidr(text)?.address ?? []),
  );
}

/** In its host's network the task is on each of its networks at the one address that it listens on. */
export function sharedAttachments(task: Task, address: string): readonly NetworkAttachment[] {
  const prefixLength = address.includes(':') ? 128 : 32;
  const addresses = [`${address}/${prefixLength}`];
  return taskAttachments(task).map(({ networkId }) => ({ networkId, addresses }));
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

/**
 * Ports that the task's own host publishes for it, as its status reports them. Of a port that the spec leaves
 * open, this node takes the number that the task listens on.
 */
export function hostPublished(task: Task): readonly (PortConfig & { PublishedPort: number })[] {
  return task.Endpoint.Ports.filter((port) => port.PublishMode === 'host').map((port) => ({
    ...port,
    PublishedPort: port.PublishedPort || port.TargetPort,
  }));
}

/** The same, for the mesh. */
export function hostPorts(task: Task): readonly HostPort[] {
  return hostPublished(task).map(({ Protocol, PublishedPort, TargetPort }) => ({
    protocol: Protocol,
    publishedPort: PublishedPort,
    targetPort: TargetPort,
  }));
}

/** `80/tcp`. */
export function portName(port: Pick<PortConfig, 'TargetPort' | 'Protocol'>): string {
  return `${port.TargetPort}/${port.Protocol}`;
}
