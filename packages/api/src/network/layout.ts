/**
 * What all nodes of a cluster must agree on about its networks: identifiers on the wire, blocks of
 * addresses, and how a node's index fits into packet marks. Everything else in a kernel is local to its
 * node (packages/routing-mesh/src/layout.ts).
 */
import type { IpAddress } from '../values/address.js';
import type { Subnet } from './subnet.js';

/** VXLAN network identifiers of overlay networks, as Docker numbers them; 24 bits. */
export const VNI_FIRST = 4096;
export const VNI_LAST = 2 ** 24 - 1;

/** The name of the ingress network that a cluster begins with. */
export const INGRESS_NAME = 'ingress';
/** Of every ingress network: the tunnel between nodes uses it for the packets of all networks. */
export const INGRESS_VNI = VNI_FIRST;
/** The first VNI of the networks that users make. */
export const USER_VNI_FIRST = INGRESS_VNI + 1;
/** The subnet of an ingress network that is made without one. Managers tell nodes of any other (MeshIngress). */
export const INGRESS_SUBNET = '10.240.0.0/12';
/**
 * Prefix lengths of ingress networks: a larger subnet has more blocks than there are indexes, a smaller one has
 * no room for a few nodes with a few tasks each.
 */
export const INGRESS_PREFIX_SHORTEST = 12;
export const INGRESS_PREFIX_LONGEST = 26;
/** Its IPv6 addresses, which nodes derive from the IPv4 ones (a unique local prefix, RFC 4193). */
export const INGRESS_IPV6_SUBNET = 'fd73:7761:726d::/96';

/** UDP port at which nodes answer probes of their paths, at their own addresses of the ingress network. */
export const MESH_PROBE_PORT = 2377;

/** UDP port of WireGuard between nodes: this many above the data path port. */
export const WIREGUARD_PORT_OFFSET = 1;

/**
 * The index of a node names it in packet marks, tunnel MACs, conntrack zones and blocks. No node has index
 * 0: a mark of 0 means "not marked", and block 0 holds the address of the network itself.
 */
export const NODE_INDEX_BITS = 12;
export const NODE_INDEX_FIRST = 1;
export const NODE_INDEX_LAST = 2 ** NODE_INDEX_BITS - 1;

/** A mark has 32 bits: the index of a node in the upper ones, the id of an endpoint in the lower ones. */
export const MARK_BITS = 32;
export const ENDPOINT_MARK_BITS = MARK_BITS - NODE_INDEX_BITS;

/** The largest block of a node: 253 tasks. */
const NODE_BLOCK_PREFIX_SHORTEST = 24;

/** Most addresses of one task or service on one network. */
export const NETWORK_ADDRESSES_LIMIT = 16;

/** Offsets within a block: the network's own address, the node's, then those of tasks up to broadcast. */
export const NODE_ADDRESS_OFFSET = 1;
export const TASK_OFFSET_FIRST = 2;

/**
 * How long the prefix of a node's block is: each node owns one block of the ingress network, by its index. The
 * blocks of a network below /16 are smaller than /24: nodes and tasks share the bits that it has.
 */
export function nodeBlockPrefixLength({ prefixLength }: Subnet): number {
  return Math.max(NODE_BLOCK_PREFIX_SHORTEST, Math.ceil((prefixLength + 32) / 2));
}

/** How many nodes an ingress network has blocks for, and how many tasks fit into each. */
export function ingressRoom(network: Subnet): { readonly nodes: number; readonly tasks: number } {
  const blockLength = nodeBlockPrefixLength(network);
  const blocks = 2 ** (blockLength - network.prefixLength);
  return {
    nodes: Math.min(blocks - 1, NODE_INDEX_LAST),
    tasks: 2 ** (32 - blockLength) - TASK_OFFSET_FIRST - 1,
  };
}

/** The index of the node whose block of the ingress network the address is in; undefined when it is in none. */
export function nodeIndexOf(network: Subnet, address: IpAddress): number | undefined {
  const offset = network.offsetOf(address);
  if (offset === undefined) return undefined;
  const index = Math.floor(offset / 2 ** (32 - nodeBlockPrefixLength(network)));
  return index >= NODE_INDEX_FIRST && index <= NODE_INDEX_LAST ? index : undefined;
}

/** The block of a node in an ingress network; undefined when the network does not have that many. */
export function nodeBlock(network: Subnet, index: number): Subnet | undefined {
  if (!Number.isInteger(index) || index < NODE_INDEX_FIRST || index > NODE_INDEX_LAST) {
    return undefined;
  }
  return network.block(nodeBlockPrefixLength(network), index);
}

/** The last offset that a task can have in a subnet: IPv4 keeps the last address for broadcast. */
export function taskOffsetLast(subnet: Subnet): number {
  return subnet.size - (subnet.isIpv6 ? 1 : 2);
}

/**
 * Whether a task can have this address of the subnet: it is not the network's, the node's or the broadcast
 * address.
 */
export function isTaskOffset(subnet: Subnet, offset: number): boolean {
  return offset >= TASK_OFFSET_FIRST && offset <= taskOffsetLast(subnet);
}

/** Whether a task can have this address: it is in the subnet, at an offset for tasks. */
export function isTaskAddress(subnet: Subnet, address: IpAddress): boolean {
  const offset = subnet.offsetOf(address);
  return offset !== undefined && isTaskOffset(subnet, offset);
}
