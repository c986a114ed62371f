import type { NodeDescription } from '../objects/node.js';

/**
 * What can carry the mesh of a node: its kernel, where the packet filter or IPVS balances published ports, or proxies of
 * the daemon.
 */
export type MeshBackendName = 'nftables' | 'ipvs' | 'userspace';

/**
 * Whether packets for the node's tasks come through a tunnel. Without one, tasks share the host's network
 * and are reached at the node's own address. A node that does not name its backend is tunnelled.
 */
export function isTunnelled(
  description: Pick<NodeDescription, 'MeshBackend'> | undefined,
): boolean {
  return description?.MeshBackend !== ('userspace' satisfies MeshBackendName);
}
