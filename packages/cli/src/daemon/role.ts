import type { Node } from '@swarm/api';

/** A manager stays one until the leader took it out of the Raft group. */
export function shallBeManager({ Spec, RaftID }: Pick<Node, 'Spec' | 'RaftID'>): boolean {
  return Spec.Role === 'manager' || RaftID !== undefined;
}
