import type { ConfState, MemberId } from '@swarm/raft';

/**
 * Whether those who hold something are a quorum of both halves of a configuration. Counted anew, not
 * by the core's own function: a fault in that must not hide itself.
 */
export function isQuorum(conf: ConfState, holds: (id: MemberId) => boolean): boolean {
  return isMajority(conf.voters, holds) && isMajority(conf.votersOutgoing, holds);
}

/** Of nobody, as before the founding or outside a joint configuration, nobody is enough. */
function isMajority(ids: readonly MemberId[], holds: (id: MemberId) => boolean): boolean {
  return ids.length === 0 || 2 * ids.filter(holds).length > ids.length;
}
