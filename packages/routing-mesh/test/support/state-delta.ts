import { filled, type MeshDelta, meshPortKey, type MeshState } from '@swarm/api';

/** What makes one state of another, as managers say it. */
export function stateDelta(before: MeshState, after: MeshState): MeshDelta {
  const peers = differing(before.peers, after.peers, ({ nodeId }) => nodeId);
  const ports = differing(before.ports, after.ports, meshPortKey);
  const services = differing(before.services, after.services, ({ serviceId }) => serviceId);
  const members = differing(before.members, after.members, ({ taskId }) => taskId);
  return {
    base: before.generation,
    generation: after.generation,
    peers: peers.put,
    removedPeers: peers.removed.map(({ nodeId }) => nodeId),
    ports: ports.put,
    removedPorts: ports.removed.map(({ protocol, publishedPort }) => ({ protocol, publishedPort })),
    ...filled({
      services: services.put,
      removedServices: services.removed.map(({ serviceId }) => serviceId),
      members: members.put,
      removedMembers: members.removed.map(({ taskId }) => taskId),
    }),
  };
}

function differing<T>(
  before: readonly T[] = [],
  after: readonly T[] = [],
  keyOf: (one: T) => string,
): { readonly put: readonly T[]; readonly removed: readonly T[] } {
  const known = new Map(before.map((one) => [keyOf(one), JSON.stringify(one)]));
  const kept = new Set(after.map(keyOf));
  return {
    put: after.filter((one) => known.get(keyOf(one)) !== JSON.stringify(one)),
    removed: before.filter((one) => !kept.has(keyOf(one))),
  };
}
