import type { MeshPort } from '../wire/mesh.js';
import type { PortConfig, PortProtocol } from '../objects/service.js';

/** One port of a protocol, as a key of maps: `tcp/8080`. TCP, UDP and SCTP have separate port numbers. */
export type PortKey = `${PortProtocol}/${number}`;

export function portKey(protocol: PortProtocol, port: number): PortKey {
  return `${protocol}/${port}`;
}

/** The key of a published port; 0 stands for one that is not chosen yet. */
export function publishedKey(port: Pick<PortConfig, 'Protocol' | 'PublishedPort'>): PortKey {
  return portKey(port.Protocol, port.PublishedPort ?? 0);
}

/** The port that a key names. */
export function meshPortOf(key: PortKey): Pick<MeshPort, 'protocol' | 'publishedPort'> {
  const [protocol, port] = key.split('/') as [PortProtocol, string];
  return { protocol, publishedPort: Number(port) };
}

/** The key of a port of the mesh state. */
export function meshPortKey(port: Pick<MeshPort, 'protocol' | 'publishedPort'>): PortKey {
  return portKey(port.protocol, port.publishedPort);
}
