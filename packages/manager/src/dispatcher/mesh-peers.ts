import { isDeepStrictEqual } from 'node:util';
import {
  isTunnelled,
  type MeshPeer,
  type Node,
  nodeBlock,
  type Subnet,
  type Task,
} from '@swarm/api';
import { hostAddress, ingressSubnet } from '../allocator/node-mesh.js';
import type { View } from '../store/store.js';

/**
 * The nodes that have a place in the mesh. A node that is down keeps its place, marked, since it may still
 * route. If the store has two nodes at one index or tunnel address, the living one is the peer, else the one
 * with the lower id; the dispatcher ensures that at most one of them lives.
 */
export function meshPeers(view: View): MeshPeer[] {
  const peers = new Map<string, MeshPeer>();
  const taken = new Map<number | string, string>();
  const network = ingressSubnet(view);
  const take = (node: Node): void => {
    const peer = meshPeer(node, network);
    if (peer === undefined) return;
    const keys = peer.userspace ? [peer.index] : [peer.index, peer.address];
    if (keys.some((key) => taken.has(key))) return;
    for (const key of keys) taken.set(key, peer.nodeId);
    peers.set(peer.nodeId, peer);
  };
  const down: Node[] = [];
  for (const node of view.list('node')) {
    if (node.Status.State === 'ready' || node.Status.State === 'disconnected') take(node);
    else down.push(node);
  }
  for (const node of down) take(node);
  return [...peers.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1));
}

/**
 * Where others send a node's tunnel packets, or reach the tasks of a userspace node. Undefined until the
 * allocator gives it a place, while another node has its address, and when the network has no block for its index.
 * Its block follows from its index, so all blocks move at once when the ingress network does.
 * @param network the subnet that contains the nodes' blocks
 */
export function meshPeer(node: Node, network: Subnet): MeshPeer | undefined {
  if (node.Mesh === undefined) return undefined;
  const { Index } = node.Mesh;
  const address = hostAddress(node.Mesh.Address);
  const block = nodeBlock(network, Index);
  if (address === undefined || block === undefined) return undefined;
  const { Ipv6Addresses: ipv6Addresses = [] } = node.Description ?? {};
  return {
    nodeId: node.ID,
    index: Index,
    address,
    subnet: block.toString(),
    ...(node.Status.State === 'down' ? { down: true } : {}),
    ...(isUserspace(node) ? { userspace: true } : {}),
    ...(isProbed(node) ? { probed: true } : {}),
    ...encryptionOf(node),
    ...(ipv6Addresses.length > 0 && { ipv6Addresses }),
  };
}

/** As the node reports it: others check it before they use it. */
function encryptionOf({ Description }: Node): Pick<MeshPeer, 'encryption'> {
  if (Description?.Encryption === undefined) return {};
  const { PublicKey, Epoch, Means } = Description.Encryption;
  return { encryption: { publicKey: PublicKey, epoch: Epoch, means: Means } };
}

/** Whether the node says that it has no kernel networking. */
function isUserspace(node: Node): boolean {
  return !isTunnelled(node.Description);
}

/** Whether others may look at the path to it. */
export function isProbed({ Description }: Node): boolean {
  return Description?.Paths !== undefined;
}

/** Whether two versions of a node encrypt with the same key, and by the same means. */
export function sameEncryption(a: Node, b: Node): boolean {
  return isDeepStrictEqual(a.Description?.Encryption, b.Description?.Encryption);
}

/** Whether two versions of a node give its tasks the same endpoints. */
export function sameToEndpoints(a: Node, b: Node): boolean {
  return (
    (a.Status.State === 'down') === (b.Status.State === 'down') &&
    a.Mesh?.Address === b.Mesh?.Address &&
    a.Mesh?.Index === b.Mesh?.Index &&
    isUserspace(a) === isUserspace(b) &&
    isDeepStrictEqual(a.Description?.Ipv6Addresses, b.Description?.Ipv6Addresses)
  );
}

/**
 * The node of a task that may get traffic; undefined when it gets none: it must run, be ready, not be about to
 * stop, and be on a node that is up.
 * @param network the subnet that contains the nodes' blocks
 */
export function peerWithTraffic(view: View, task: Task, network: Subnet): MeshPeer | undefined {
  if (task.DesiredState !== 'running' || task.Status.State !== 'running') return undefined;
  if (task.Status.Ready === false || task.NodeID === undefined) return undefined;
  const node = view.get('node', task.NodeID);
  const peer = node && meshPeer(node, network);
  return peer?.down === true ? undefined : peer;
}
