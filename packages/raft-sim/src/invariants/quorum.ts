import type { ConfState, MemberId } from '@swarm/raft';

/**
 * Reports whether the holders of something are a quorum of both halves of a configuration. Counts
 * separately from the core's own function, so that a fault there cannot hide itself.
 */
export function isQuorum(conf: ConfState, holds: (id: MemberId) => boolean): boolean {
  return isMajority(conf.voters, holds) && isMajority(conf.votersOutgoing, holds);
}

/** An empty set, as before the bootstrap or outside a joint configuration, needs nobody. */
function isMajority(ids: readonly MemberId[], holds: (id: MemberId) => boolean): boolean {
  return ids.length === 0 || 2 * ids.filter(holds).length > ids.length;
}
