import {
  type IpAddress,
  type Network,
  type Node,
  nodeBlock,
  nodeIndexOf,
  parseIpAddress,
  Subnet,
} from '@swarm/api';
import { AddressPool } from './address-pool.js';
import { isOther, knowsOthers } from './ingress-nodes.js';
import { nodeBoundSubnet } from './node-mesh.js';

/** Pools in order of use: an address comes from the first one with room. */
export type PoolGroup = readonly AddressPool[];

/** An address, by its pool and its offset in it. */
export interface PooledAddress {
  readonly pool: AddressPool;
  readonly offset: number;
}

/** Where the addresses of one network come from. */
export interface NetworkPools {
  /** Whether an address depends on its task's node. */
  readonly isNodeBound: boolean;
  /**
   * The groups of pools; a task gets one address from each.
   * @param node undefined for a task without a node
   * @returns undefined when a task on this node cannot have an address
   */
  groups(node: Node | undefined): readonly PoolGroup[] | undefined;
  /** Finds an address's pool; undefined for an address that no pool of this network covers. */
  find(address: IpAddress): PooledAddress | undefined;
}

/** Whether a network's tasks get addresses from their node's block: routes follow nodes, not tasks. */
export function isNodeBound(network: Network): boolean {
  return network.Spec.Ingress;
}

/** @param knownSinceMs see AddressPool */
export function poolsOf(network: Network, knownSinceMs: number): NetworkPools {
  return isNodeBound(network)
    ? new NodeBoundPools(network, knownSinceMs)
    : new ClusterWidePools(network, knownSinceMs);
}

/** One pool per node block, made on first use. */
class NodeBoundPools implements NetworkPools {
  readonly isNodeBound = true;
  readonly #subnet: Subnet;
  /** Not every version knows the network. */
  readonly #isOther: boolean;
  readonly #knownSinceMs: number;
  /** By index; undefined when the subnet has no such block. */
  readonly #blocks = new Map<number, NodeBlock | undefined>();

  constructor(network: Network, knownSinceMs: number) {
    this.#subnet = nodeBoundSubnet(network);
    this.#isOther = isOther(network.Spec, this.#subnet);
    this.#knownSinceMs = knownSinceMs;
  }

  groups(node: Node | undefined): readonly PoolGroup[] | undefined {
    const mesh = node?.Mesh;
    // A node without an address of its own receives no packets for its tasks.
    if (mesh === undefined || mesh.Address === '') return undefined;
    // It may have joined since the network was made.
    if (this.#isOther && node?.Description?.Program !== undefined && !knowsOthers(node))
      return undefined;
    return this.#block(mesh.Index)?.groups;
  }

  find(address: IpAddress): PooledAddress | undefined {
    const index = nodeIndexOf(this.#subnet, address);
    const pool = index === undefined ? undefined : this.#block(index)?.pool;
    const offset = pool?.subnet.offsetOf(address);
    return pool === undefined || offset === undefined ? undefined : { pool, offset };
  }

  #block(index: number): NodeBlock | undefined {
    if (this.#blocks.has(index)) return this.#blocks.get(index);
    const subnet = nodeBlock(this.#subnet, index);
    const pool = subnet && new AddressPool(subnet, this.#knownSinceMs);
    const block = pool && { pool, groups: [[pool]] };
    this.#blocks.set(index, block);
    return block;
  }
}

/** The block of one node. */
interface NodeBlock {
  readonly pool: AddressPool;
  readonly groups: readonly PoolGroup[];
}

/** One pool per subnet, for tasks on any node; a task gets one address of each family. */
class ClusterWidePools implements NetworkPools {
  readonly isNodeBound = false;
  readonly #pools: readonly AddressPool[];
  readonly #groups: readonly PoolGroup[];

  constructor(network: Network, knownSinceMs: number) {
    this.#pools = subnetsOf(network).map(
      (subnet) => new AddressPool(subnet, knownSinceMs, rangeOf(network, subnet)),
    );
    for (const { Gateway } of network.Subnets) {
      const gateway = parseIpAddress(Gateway);
      const found = gateway === undefined ? undefined : this.find(gateway);
      found?.pool.hold(found.offset, 'gateway');
    }
    const families = [false, true].map((isV6) =>
      this.#pools.filter(({ subnet }) => subnet.isIpv6 === isV6),
    );
    this.#groups = families.filter((pools) => pools.length > 0);
  }

  groups(): readonly PoolGroup[] | undefined {
    return this.#groups.length === 0 ? undefined : this.#groups;
  }

  find(address: IpAddress): PooledAddress | undefined {
    for (const pool of this.#pools) {
      const offset = pool.subnet.offsetOf(address);
      if (offset !== undefined) return { pool, offset };
    }
    return undefined;
  }
}

/** The part of the subnet that the user set aside for tasks and services. */
function rangeOf({ Spec }: Network, subnet: Subnet): Subnet | undefined {
  for (const { IPRange } of Spec.IPAM?.Config ?? []) {
    const range = Subnet.parse(IPRange);
    if (range !== undefined && subnet.contains(range)) return range;
  }
  return undefined;
}

function subnetsOf(network: Network): Subnet[] {
  return network.Subnets.flatMap(({ Subnet: text }) => Subnet.parse(text) ?? []);
}
