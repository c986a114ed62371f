import type { CheckedMember, CheckedPort, CheckedState } from '../checked.js';

/**
 * The state without what runs on nodes that this one does not reach, as long as the rest of a port, or of a
 * service's tasks, has something left: a client that waits is worse off than one that gets another task. Where
 * nothing would be left it stays: the path may mend first.
 * @param nodeIds nodes that this one does not reach
 */
export function avoid<T extends Pick<CheckedState, 'ports' | 'members'>>(
  state: T,
  nodeIds: ReadonlySet<string>,
): T {
  if (nodeIds.size === 0) return state;
  return {
    ...state,
    ports: state.ports.map((port) => avoidEndpoints(port, nodeIds)),
    members: avoidMembers(state.members, nodeIds),
  };
}

function avoidEndpoints(port: CheckedPort, nodeIds: ReadonlySet<string>): CheckedPort {
  const endpoints = port.endpoints.filter(({ nodeId }) => !nodeIds.has(nodeId));
  const isWhole = endpoints.length === port.endpoints.length;
  return isWhole || endpoints.length === 0 ? port : { ...port, endpoints };
}

function avoidMembers(
  members: CheckedState['members'],
  nodeIds: ReadonlySet<string>,
): CheckedState['members'] {
  const served = new Set<string>();
  for (const { serves, serviceId, nodeId } of members.values()) {
    if (serves && !nodeIds.has(nodeId)) served.add(serviceId);
  }
  const isAvoided = ({ serves, serviceId, nodeId }: CheckedMember) =>
    serves && nodeIds.has(nodeId) && served.has(serviceId);
  return new Map(
    [...members].map(([taskId, member]) => [
      taskId,
      isAvoided(member) ? { ...member, serves: false } : member,
    ]),
  );
}
