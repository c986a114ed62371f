import type { Raft } from './raft.js';

/**
 * Whether this member is bound to elect nobody else, as leaders' leases rely on (lease.ts).
 *
 * Who hears a leader is bound for an election timeout, whatever else happens to it: the term may
 * move on and the leader be forgotten, also by a message that is no vote, after which a vote in the
 * new term would look free. Only a campaign that the leader itself asked for is above it.
 *
 * A restart forgets when a leader was heard, so a member that may have heard one is bound for as long
 * after its start. That costs little: nobody campaigns earlier after its own start anyway.
 *
 * A lone voter is not bound. A leader that counts on it, and is another, has a configuration next to
 * the lone voter's (lease.ts, "Which quorum"). If it is the one before, the change that follows is in
 * that leader's log and not applied, so it has no lease; if the one after, it was committed by the
 * lone voter, whose log has the change still unapplied, so it is not alone for sure.
 */
export function isBound(raft: Raft): boolean {
  const { config, ticks, heardTick } = raft;
  if (config.promiseMs === 0 || ticks - heardTick >= config.electionTicks) return false;
  return !isAloneForSure(raft);
}

function isAloneForSure({ id, tracker, log }: Raft): boolean {
  const { voters, votersOutgoing } = tracker.conf;
  if (voters.length !== 1 || voters[0] !== id || votersOutgoing.length > 0) return false;
  return !log.hasConfChange(log.applied, log.lastIndex);
}
