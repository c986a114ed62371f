import {
  INGRESS_SUBNET,
  type IpAddress,
  isHostAddress,
  type Network,
  type Node,
  NODE_INDEX_FIRST,
  type NodeMesh,
  nodeBlock,
  parseIpAddress,
  Subnet,
} from '@swarm/api';
import type { View } from '../store/store.js';

/** Gives nodes their places in the mesh, at the lowest free index. */
export class MeshIndexes {
  readonly #taken: Set<number>;
  readonly #subnet: Subnet;
  #next = NODE_INDEX_FIRST;

  private constructor(taken: Set<number>, subnet: Subnet) {
    this.#taken = taken;
    this.#subnet = subnet;
  }

  static of(view: View): MeshIndexes {
    const taken = new Set<number>();
    for (const { Mesh } of view.list('node')) if (Mesh !== undefined) taken.add(Mesh.Index);
    return new MeshIndexes(taken, ingressSubnet(view));
  }

  /** @returns undefined when every index is taken */
  placeFor(node: Node): NodeMesh | undefined {
    while (this.#taken.has(this.#next)) this.#next += 1;
    const index = this.#next;
    const block = nodeBlock(this.#subnet, index);
    if (block === undefined) return undefined;
    this.#taken.add(index);
    return {
      Index: index,
      Address: hostAddress(node.Status.Addr) ?? '',
      Subnet: block.toString(),
    };
  }
}

/** The subnet that holds the nodes' blocks: the ingress network's, or its default before it exists. */
export function ingressSubnet(view: View): Subnet {
  const network = view.ingressNetwork();
  return network === undefined ? Subnet.of(INGRESS_SUBNET) : nodeBoundSubnet(network);
}

/** The IPv4 subnet of a node-bound network; the default when the network was stored without one. */
export function nodeBoundSubnet({ Subnets }: Network): Subnet {
  const subnets = Subnets.flatMap(({ Subnet: text }) => Subnet.parse(text) ?? []);
  return subnets.find(({ isIpv6 }) => !isIpv6) ?? Subnet.of(INGRESS_SUBNET);
}

/** Parses a host's address; undefined for anything else, and for an address that others cannot reach. */
export function hostAddress(text: unknown): IpAddress | undefined {
  const address = parseIpAddress(text);
  return address !== undefined && isHostAddress(address) ? address : undefined;
}
