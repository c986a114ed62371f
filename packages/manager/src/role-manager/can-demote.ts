/** A member of the Raft group. */
export interface Member {
  /** Decimal or hexadecimal, as Raft names it; only compared. */
  readonly raftId: number;
  readonly nodeId: string;
  /** `host:port`. */
  readonly address: string;
  /** Counts for the quorum. A learner does not. */
  readonly voter: boolean;
  readonly reachable: boolean;
}

/**
 * Why a manager must stay one for now, in Docker's words; undefined when it can go. A node that is not in
 * the Raft group can always go.
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
