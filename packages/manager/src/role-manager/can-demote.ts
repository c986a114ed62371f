/** A member of the Raft group. */
export interface Member {
  readonly raftId: number;
  readonly nodeId: string;
  /** `host:port`. */
  readonly address: string;
  /** Whether the member counts for the quorum; a learner does not. */
  readonly voter: boolean;
  readonly reachable: boolean;
}

/**
 * Returns why a manager cannot leave the Raft group now, in Docker's words; undefined when it can. A node
 * outside the group, or a learner, can always go.
 */
export function canDemote(members: readonly Member[], nodeId: string): string | undefined {
  const member = members.find((each) => each.nodeId === nodeId);
  if (member === undefined || !member.voter) return undefined;
  const others = members.filter((each) => each.voter && each.nodeId !== nodeId);
  if (others.length === 0) return 'attempting to demote the last manager of the swarm';
  const reachable = others.filter((each) => each.reachable).length;
  const quorum = Math.floor(others.length / 2) + 1;
  if (reachable < quorum) {
    return "can't remove member from the raft: this would result in a loss of quorum";
  }
  return undefined;
}
