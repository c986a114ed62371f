import { isDeepStrictEqual } from 'node:util';
import { filled, type MeshDelta, type MeshPeer, meshPortKey, type MeshState } from '@swarm/api';

/** The empty mesh: a delta from it replaces everything. */
export const EMPTY_MESH: MeshState = { generation: 0, peers: [], ports: [] };

/** The changes that turn `base` into `next`. */
export function meshDelta(base: MeshState, next: MeshState): MeshDelta {
  const peers = peerChanges(base.peers, next.peers);
  const ports = difference(base.ports, next.ports, meshPortKey);
  const services = difference(base.services ?? [], next.services ?? [], (one) => one.serviceId);
  const members = difference(base.members ?? [], next.members ?? [], (one) => one.taskId);
  return {
    base: base.generation,
    generation: next.generation,
    ...(next.ingress && { ingress: next.ingress }),
    peers: peers.changed,
    removedPeers: peers.removed.map((peer) => peer.nodeId),
    ports: ports.changed,
    removedPorts: ports.removed.map(({ protocol, publishedPort }) => ({ protocol, publishedPort })),
    ...filled({
      services: services.changed,
      removedServices: services.removed.map(({ serviceId }) => serviceId),
      members: members.changed,
      removedMembers: members.removed.map(({ taskId }) => taskId),
    }),
  };
}

/** The peers that are new or changed, and those that are gone. */
export function peerChanges(
  before: readonly MeshPeer[],
  after: readonly MeshPeer[],
): { readonly changed: readonly MeshPeer[]; readonly removed: readonly MeshPeer[] } {
  return difference(before, after, (peer) => peer.nodeId);
}

function difference<T>(
  before: readonly T[],
  after: readonly T[],
  key: (item: T) => string,
): { changed: T[]; removed: T[] } {
  const left = new Map(before.map((item) => [key(item), item]));
  const changed: T[] = [];
  for (const item of after) {
    const old = left.get(key(item));
    left.delete(key(item));
    // Unchanged parts are the same objects, so the first comparison mostly suffices.
    if (old !== item && !isDeepStrictEqual(old, item)) changed.push(item);
  }
  return { changed, removed: [...left.values()] };
}
