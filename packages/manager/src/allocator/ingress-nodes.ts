import {
  ApiError,
  INGRESS_SUBNET,
  ingressRoom,
  networkMtu,
  nodeBlock,
  type NetworkSpec,
  type Node,
  type Subnet,
} from '@swarm/api';
import { NETWORKS_LEVEL } from '../store/feature-levels.js';
import { nodeNameOf } from '../store/object-keys.js';
import type { View } from '../store/store.js';
import { ingressSubnet, meshIngress } from './node-mesh.js';

/**
 * Refuses an ingress network in which not every node can have a block. Looks at every node: few ingress networks
 * are made in the life of a cluster.
 * @throws ApiError FAILED_PRECONDITION
 */
export function refuseForNodes(view: View, spec: NetworkSpec, subnet: Subnet): void {
  const room = ingressRoom(subnet);
  const mustKnow = isOther(spec, subnet);
  let nodes = 0;
  for (const node of view.list('node')) {
    nodes += 1;
    if (mustKnow && !knowsOthers(node)) {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `node ${nodeNameOf(node) ?? node.ID} runs swarm ${node.Description?.Program?.Version ?? 'of an older version'}, ` +
          `which only knows an ingress network with ${INGRESS_SUBNET}: upgrade the node, or remove it`,
      );
    }
  }
  if (nodes <= room.nodes) return;
  throw new ApiError(
    'FAILED_PRECONDITION',
    `ipam configuration: the ingress network ${subnet} has room for ${room.nodes} nodes with ${room.tasks} tasks each, and ` +
      `the cluster has ${nodes} nodes: give a larger subnet`,
  );
}

/** Whether the ingress network is not what nodes of the first versions take for granted. */
export function isOther(spec: NetworkSpec, subnet: Subnet): boolean {
  return subnet.toString() !== INGRESS_SUBNET || networkMtu(spec) !== undefined;
}

/** Whether the node can have its block from another subnet than the first versions did. */
export function knowsOthers({ Description }: Node): boolean {
  if (Description === undefined) return true;
  return (Description.Program?.FeatureLevel.Newest ?? 0) >= NETWORKS_LEVEL;
}

/** Whether nodes have blocks of the ingress network: without one a node has no mesh, so no task there has networks. */
export function blockCheck(view: View): (node: Node) => boolean {
  const subnet = ingressSubnet(view);
  const mustKnow = meshIngress(view) !== undefined;
  return (node) => {
    const { Mesh, Description } = node;
    if (Mesh === undefined || Mesh.Address === '') return false;
    if (mustKnow && Description?.Program !== undefined && !knowsOthers(node)) return false;
    return nodeBlock(subnet, Mesh.Index) !== undefined;
  };
}
