import type { PortConfig, Task } from '@swarm/api';
import type { HostPort, NetworkAttachment } from '@swarm/routing-mesh';

/** The task's address on its network, without prefix length; undefined in the host's network. */
export function attachmentAddress(task: Task): string | undefined {
  return task.NetworksAttachments?.[0]?.Addresses[0]?.split('/')[0];
}

/** The task's places on its networks; none in the host's network. */
export function networkAttachments(task: Task): readonly NetworkAttachment[] {
  return (task.NetworksAttachments ?? []).map(({ Network, Addresses }) => ({
    networkId: Network.ID,
    addresses: Addresses,
  }));
}

/** Ports that the task's own host opens for it. */
export function hostPorts(task: Task): readonly HostPort[] {
  return task.Endpoint.Ports.filter((port) => port.PublishMode === 'host').map((port) => ({
    protocol: port.Protocol,
    publishedPort: port.PublishedPort ?? port.TargetPort,
    targetPort: port.TargetPort,
  }));
}

/** `80/tcp`. */
export function portName(port: Pick<PortConfig, 'TargetPort' | 'Protocol'>): string {
  return `${port.TargetPort}/${port.Protocol}`;
}
