import { type ConfChange, isVoter, LEAVE_JOINT } from './conf-change.js';
import { CampaignReason, campaign } from './election.js';
import { commitAdvanced, releaseReads, resign, selfAck } from './leader.js';
import { appendConfChange } from './proposal.js';
import { type Raft, Role } from './raft.js';
import type { AppendWork } from './ready.js';
import { broadcastCommit } from './replication.js';
import { step } from './step.js';
import { type ConfState, type Index, NOBODY } from './types.js';

/**
 * Records that this write, and all handed out before it, are durable.
 *
 * Only a write made in the current term may mark entries durable. Otherwise this could happen: (1)
 * entry 5 of term 1 is being written; (2) another leader replaces it in memory, and the new write
 * waits; (3) a third leader brings back entry 5 of term 1, and that write waits too; (4) the first
 * write completes, and because index and term match, we would acknowledge entry 5; (5) the second
 * write removes it from the disk; (6) we crash, having lost what we acknowledged. This blocks
 * nothing: each new term has a write of its own, which attests everything under way.
 */
export function appended(raft: Raft, work: AppendWork): void {
  if (work.snapshot !== undefined) raft.log.unstable.snapshotStable(work.snapshot.index);
  const { attested } = work;
  if (
    attested !== undefined &&
    work.term === raft.term &&
    raft.log.matches(attested.index, attested.term)
  ) {
    raft.log.unstable.stableTo(attested.index);
    if (raft.role === Role.Leader) selfAck(raft);
  }
  for (const response of work.responses) {
    if (response.to === raft.id) step(raft, response);
    else raft.messages.push(response);
  }
}

/**
 * Puts the configuration change of a committed entry into effect. Called while that entry is being
 * applied, before `applied`.
 * @returns the new configuration
 * @throws ConfChangeError when the change is not allowed. Every member fails alike, so the entry
 * has no effect.
 */
export function applyConfChange(raft: Raft, change: ConfChange): ConfState {
  const leads = raft.role === Role.Leader;
  // Tells a member that is about to be removed. If we are that member, tells the others that the
  // change is committed: otherwise the last of two would wait for our vote for ever.
  if (leads) broadcastCommit(raft);
  const conf = raft.changeConf(change);
  if (!leads) return conf;
  if (!isVoter(conf, raft.id)) {
    resign(raft);
    return conf;
  }
  if (!isVoter(conf, raft.transferee)) raft.transferee = NOBODY;
  // A smaller quorum may already hold what the larger one did not.
  commitAdvanced(raft);
  releaseReads(raft);
  raft.broadcastDue = true;
  return conf;
}

/** Records that everything up to `index` is applied. */
export function applied(raft: Raft, index: Index): void {
  raft.log.appliedTo(index);
  if (raft.role === Role.Leader) {
    const { conf } = raft.tracker;
    if (conf.autoLeave && raft.log.applied >= raft.pendingConfIndex) {
      appendConfChange(raft, LEAVE_JOINT);
    }
  } else if (raft.campaignWhenApplied && !raft.hasUnappliedConfChange) {
    raft.campaignWhenApplied = false;
    campaign(raft, CampaignReason.Transfer);
  }
}
