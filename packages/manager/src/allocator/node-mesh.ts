import {
  INGRESS_SUBNET,
  type IpAddress,
  isHostAddress,
  type MeshIngress,
  type Network,
  networkMtu,
  type Node,
  NODE_INDEX_FIRST,
  NODE_INDEX_LAST,
  type NodeMesh,
  nodeBlock,
  parseIpAddress,
  Subnet,
} from '@swarm/api';
import type { View } from '../store/store.js';
import { LowestFree } from './lowest-free.js';

/** Gives nodes their places in the mesh, at the lowest free index. Lives as long as the allocator. */
export class MeshPlaces {
  readonly #free: LowestFree;

  constructor(store: View) {
    const isHeld = (index: number) => isPlace(store, index);
    this.#free = new LowestFree(NODE_INDEX_FIRST, NODE_INDEX_LAST, isHeld);
  }

  /** A node is gone, or has another place. */
  release({ Index }: NodeMesh): void {
    this.#free.release(Index);
  }

  reset(): void {
    this.#free.reset();
  }

  /**
   * For the nodes of one transaction. A node keeps the index that it has while the ingress network has a block for
   * it.
   * @returns gives a node its place; undefined when every index with a block is taken
   */
  in(view: View): (node: Node) => NodeMesh | undefined {
    const subnet = ingressSubnet(view);
    const search = this.#free.search((index) => isPlace(view, index));
    return (node) => {
      const own = node.Mesh && nodeBlock(subnet, node.Mesh.Index);
      if (node.Mesh !== undefined && own !== undefined)
        return { ...node.Mesh, Subnet: own.toString() };
      const index = search.next();
      const block = index === undefined ? undefined : nodeBlock(subnet, index);
      if (index === undefined || block === undefined) return undefined;
      const Address = node.Mesh?.Address ?? hostAddress(node.Status.Addr) ?? '';
      return { Index: index, Address, Subnet: block.toString() };
    };
  }
}

function isPlace(view: View, index: number): boolean {
  for (const _ of view.nodesByPlace(index)) return true;
  return false;
}

/**
 * The subnet that holds the nodes' blocks: the ingress network's. Before there is one, the default; between two,
 * that of the first, so that a removal alone moves nothing on the nodes.
 */
export function ingressSubnet(view: View): Subnet {
  const network = view.ingressNetwork();
  if (network !== undefined) return nodeBoundSubnet(network);
  return Subnet.parse(view.cluster()?.IngressSubnet) ?? Subnet.of(INGRESS_SUBNET);
}

/** What nodes have to know of the ingress network; undefined when it is what they assume. */
export function meshIngress(view: View): MeshIngress | undefined {
  const network = view.ingressNetwork();
  const subnet = ingressSubnet(view).toString();
  const mtuBytes = network && networkMtu(network.Spec);
  if (mtuBytes !== undefined) return { subnet, mtuBytes };
  return subnet === INGRESS_SUBNET ? undefined : { subnet };
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
