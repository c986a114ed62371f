import type { Raft } from './raft.js';

/**
 * Reports whether a promise binds this member to elect nobody else. Leaders' leases rely on it
 * (lease.ts).
 *
 * A member that hears a leader is bound for an election timeout, whatever else happens to it. The
 * term may move on and the member may forget the leader, even through a message that is not a vote,
 * after which a vote in the new term would look free. Only a campaign that the leader itself asked
 * for overrides the promise.
 *
 * A restart forgets when a leader was heard, so a member that may have heard one is bound for an
 * election timeout after its start. That costs little: nobody campaigns sooner after its own start
 * anyway.
 *
 * A lone voter is not bound. A different leader that counts on it has a configuration next to the
 * lone voter's (lease.ts, "Which quorum"). If that is the one before, the change that follows is in
 * that leader's log and not applied, so it has no lease. If it is the one after, the lone voter
 * committed it, and its log still holds the change unapplied, so the voter is not certain to be
 * alone.
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
