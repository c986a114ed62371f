import {
  type IpAddress,
  isHostAddress,
  type Node,
  type NodeMesh,
  parseIpAddress,
} from '@swarm/api';
import type { View } from '../store/store.js';

/** Node indexes; they fit the 12 bits that packet marks have for them. */
export const MESH_INDEX_FIRST = 1;
export const MESH_INDEX_LAST = 4095;
/** The ingress network: a /24 for each index. */
export const INGRESS_SUBNET = '10.240.0.0/12';
/** First address of the ingress network; block 0 is nobody's. */
export const INGRESS_GATEWAY = '10.240.0.1';

/** NodeDescription.MeshBackend of a node without a tunnel, whose tasks share its host's network. */
export const USERSPACE = 'userspace';

/** Gives nodes their places in the mesh: the lowest index that no node has. */
export class MeshIndexes {
  readonly #taken: Set<number>;
  #next = MESH_INDEX_FIRST;

  private constructor(taken: Set<number>) {
    this.#taken = taken;
  }

  static of(view: View): MeshIndexes {
    const taken = new Set<number>();
    for (const { Mesh } of view.list('node')) if (Mesh !== undefined) taken.add(Mesh.Index);
    return new MeshIndexes(taken);
  }

  /** @returns undefined when every index is taken */
  placeFor(node: Node): NodeMesh | undefined {
    while (this.#taken.has(this.#next)) this.#next += 1;
    if (this.#next > MESH_INDEX_LAST) return undefined;
    const index = this.#next;
    this.#taken.add(index);
    return {
      Index: index,
      Address: hostAddress(node.Status.Addr) ?? '',
      Subnet: meshSubnet(index),
    };
  }
}

/** Block of a node index: 10.240.0.0 + index · 256. */
export function meshSubnet(index: number): string {
  return `10.${240 + (index >> 8)}.${index & 255}.0/24`;
}

/** Whether a task of the node of this index can have the address: neither network, node nor broadcast. */
export function isTaskAddress(index: number, address: IpAddress): boolean {
  const block = meshSubnet(index).replace(/0\/24$/, '');
  const host = address.startsWith(block) ? Number(address.slice(block.length)) : 0;
  return host >= 2 && host <= 254;
}

/** Reads an address that a host can have; undefined for all else, and for what others can not reach. */
export function hostAddress(text: unknown): IpAddress | undefined {
  const address = parseIpAddress(text);
  return address !== undefined && isHostAddress(address) ? address : undefined;
}
