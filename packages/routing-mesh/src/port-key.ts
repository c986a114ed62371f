import type { PortProtocol } from '@swarm/api';

/** A published port in a map: `tcp/8080`. */
export function portKey(protocol: PortProtocol, publishedPort: number): string {
  return `${protocol}/${publishedPort}`;
}
