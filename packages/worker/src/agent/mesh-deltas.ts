import { filled, type MeshDelta, meshPortKey } from '@swarm/api';

/** One delta for two that follow each other. */
export function mergedDeltas(first: MeshDelta, second: MeshDelta): MeshDelta {
  const peers = merged(
    { put: first.peers, removed: first.removedPeers },
    { put: second.peers, removed: second.removedPeers },
    ({ nodeId }) => nodeId,
    (nodeId) => nodeId,
  );
  const ports = merged(
    { put: first.ports, removed: first.removedPorts },
    { put: second.ports, removed: second.removedPorts },
    meshPortKey,
    meshPortKey,
  );
  const services = merged(
    { put: first.services, removed: first.removedServices },
    { put: second.services, removed: second.removedServices },
    ({ serviceId }) => serviceId,
    (serviceId) => serviceId,
  );
  const members = merged(
    { put: first.members, removed: first.removedMembers },
    { put: second.members, removed: second.removedMembers },
    ({ taskId }) => taskId,
    (taskId) => taskId,
  );
  return {
    base: first.base,
    generation: second.generation,
    ...(second.ingress && { ingress: second.ingress }),
    peers: peers.put,
    removedPeers: peers.removed,
    ports: ports.put,
    removedPorts: ports.removed,
    ...filled({
      services: services.put,
      removedServices: services.removed,
      members: members.put,
      removedMembers: members.removed,
    }),
  };
}

interface Part<T, R> {
  readonly put: readonly T[] | undefined;
  readonly removed: readonly R[] | undefined;
}

function merged<T, R>(
  first: Part<T, R>,
  second: Part<T, R>,
  keyOf: (one: T) => string,
  removedKey: (one: R) => string,
): { readonly put: readonly T[]; readonly removed: readonly R[] } {
  const put = new Map<string, T>();
  const removed = new Map<string, R>();
  for (const part of [first, second]) {
    for (const one of part.removed ?? []) {
      put.delete(removedKey(one));
      removed.set(removedKey(one), one);
    }
    for (const one of part.put ?? []) {
      removed.delete(keyOf(one));
      put.set(keyOf(one), one);
    }
  }
  return { put: [...put.values()], removed: [...removed.values()] };
}
