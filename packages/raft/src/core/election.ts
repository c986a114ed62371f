import { allVoters } from './conf-change.js';
import { type Message, MessageType } from './message.js';
import { isBound } from './promise.js';
import { VoteResult } from './quorum.js';
import { type Raft, Role } from './raft.js';
import type { Index, MemberId, Term } from './types.js';

/** Why a member campaigns. */
export const CampaignReason = {
  /** No leader was heard for an election timeout. Asks first whether the election can be won. */
  Timeout: 'timeout',
  /** The leader asked for it. Skips the pre-vote and ignores leases. */
  Transfer: 'transfer',
} as const;
export type CampaignReason = (typeof CampaignReason)[keyof typeof CampaignReason];

/** Starts an election unless something forbids it. @returns whether it started */
export function campaign(raft: Raft, reason: CampaignReason): boolean {
  if (raft.role === Role.Leader || !raft.promotable) return false;
  if (reason === CampaignReason.Timeout && isBound(raft)) return false;
  if (raft.hasUnappliedConfChange) {
    raft.campaignWhenApplied = reason === CampaignReason.Transfer;
    return false;
  }
  if (reason === CampaignReason.Transfer) askForVotes(raft, reason);
  else askForPreVotes(raft);
  return true;
}

function askForPreVotes(raft: Raft): void {
  raft.becomePreCandidate();
  const term = raft.term + 1;
  for (const id of allVoters(raft.tracker.conf)) {
    if (id === raft.id) raft.send(ballot(MessageType.PreVoteResponse, raft, id, term, true, 0, 0));
    else {
      const { lastIndex, lastTerm } = raft.log;
      const type = MessageType.PreVote;
      raft.send({ type, from: raft.id, to: id, term, lastIndex, lastTerm, force: false });
    }
  }
}

function askForVotes(raft: Raft, reason: CampaignReason): void {
  raft.becomeCandidate();
  const force = reason === CampaignReason.Transfer;
  for (const id of allVoters(raft.tracker.conf)) {
    // Our own vote counts only once it is durable, so it travels with the promises.
    if (id === raft.id) voteForOurselves(raft, id);
    else {
      const { term } = raft;
      const { lastIndex, lastTerm } = raft.log;
      const type = MessageType.Vote;
      raft.send({ type, from: raft.id, to: id, term, lastIndex, lastTerm, force });
    }
  }
}

function voteForOurselves(raft: Raft, id: MemberId): void {
  raft.send(ballot(MessageType.VoteResponse, raft, id, raft.term, true, 0, 0));
}

/**
 * Builds the answer to a candidate. @param commit in a refusal: the index we know to be committed,
 * or 0
 */
export function ballot(
  type: typeof MessageType.PreVoteResponse | typeof MessageType.VoteResponse,
  raft: Raft,
  to: MemberId,
  term: Term,
  granted: boolean,
  commit: Index,
  commitTerm: Term,
): Message {
  return { type, from: raft.id, to, term, granted, commit, commitTerm };
}

/** Counts an answer to the current campaign. */
export function countVote(raft: Raft, from: MemberId, granted: boolean): void {
  switch (raft.tracker.recordVote(from, granted)) {
    case VoteResult.Won:
      if (raft.role === Role.PreCandidate) askForVotes(raft, CampaignReason.Timeout);
      // The others may form a quorum without us, but we must not lead before our own term is
      // durable. After a crash we could be elected again in the same term, having forgotten what we
      // proposed in it.
      else if (raft.tracker.hasGranted(raft.id)) raft.becomeLeader();
      break;
    case VoteResult.Lost:
      // The same after a lost pre-vote: the term did not change, so we stay in ours.
      raft.becomeFollower(raft.term, 0);
      break;
    case VoteResult.Pending:
      break;
  }
}

/** Handles one tick of any member but a leader. */
export function tickElection(raft: Raft): void {
  raft.electionElapsed++;
  if (raft.electionElapsed < raft.electionTimeout || !raft.promotable) return;
  raft.electionElapsed = 0;
  campaign(raft, CampaignReason.Timeout);
}
