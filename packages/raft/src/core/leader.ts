import { assert } from './assert.js';
import { isVoter } from './conf-change.js';
import {
  type AppendResponseMessage,
  type HeartbeatResponseMessage,
  type Message,
  MessageType,
} from './message.js';
import { ProgressState } from './progress.js';
import type { Raft } from './raft.js';
import type { ReadRequest } from './read-only.js';
import { bringUpToDate, replicate, sendAppend } from './replication.js';
import { type Index, type MemberId, NOBODY } from './types.js';

/** The most reads that a leader holds at once. Beyond it the caller has to try again. */
export const MAX_PENDING_READS = 8192;

/** Handles a message of our term as a leader. */
export function stepLeader(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.Append:
    case MessageType.Heartbeat:
    case MessageType.Snapshot:
      assert(false, 'two leaders in one term: the log can no longer be trusted', message.from);
      break;
    case MessageType.AppendResponse:
      appendResponse(raft, message);
      break;
    case MessageType.HeartbeatResponse:
      heartbeatResponse(raft, message);
      break;
    case MessageType.ReadIndex:
      addRead(raft, { from: message.from, context: message.context });
      break;
    case MessageType.TransferLeader:
      transferLeader(raft, message.from);
      break;
    default:
      break;
  }
}

function appendResponse(raft: Raft, message: AppendResponseMessage): void {
  const { from } = message;
  const progress = raft.tracker.get(from);
  if (progress === undefined) return;
  progress.lastActiveTick = raft.ticks;
  if (message.rejected) {
    // The logs cannot match above the member's hint, nor at the hint's term above our own entry of
    // that term.
    const { previousIndex, hintIndex, hintTerm } = message;
    const hint = hintTerm > 0 ? raft.log.conflictByTerm(hintIndex, hintTerm).index : hintIndex;
    if (!progress.rejected(previousIndex, hint)) return;
    if (progress.state === ProgressState.Replicate) progress.becomeProbe();
    sendAppend(raft, from, progress);
    return;
  }
  const { match } = message;
  assert(
    match <= raft.log.lastIndex,
    'a member acknowledges an entry that was never sent',
    match,
    from,
  );
  const news = progress.acked(match);
  if (!news && !(progress.match === match && progress.state === ProgressState.Probe)) return;
  switch (progress.state) {
    case ProgressState.Probe:
      progress.becomeReplicate();
      break;
    case ProgressState.Snapshot:
      // However the member got there, our log holds what comes next, so Appends can continue.
      if (progress.match + 1 >= raft.log.firstIndex) progress.becomeReplicate();
      break;
    case ProgressState.Replicate:
      progress.inflights.freeTo(match);
      break;
  }
  commitAdvanced(raft);
  replicate(raft, from);
  if (from === raft.transferee && progress.match === raft.log.lastIndex) orderCampaign(raft, from);
}

/** Acknowledges our own log up to `stable`, as a follower would. */
export function selfAck(raft: Raft): void {
  const self = raft.tracker.get(raft.id);
  if (self?.acked(raft.log.unstable.stable)) commitAdvanced(raft);
}

/** Checks whether more is committed, and releases what waited for it. */
export function commitAdvanced(raft: Raft): void {
  if (!raft.maybeCommit()) return;
  const early = raft.earlyReads;
  if (early.length === 0) return;
  raft.earlyReads = [];
  for (const request of early) addRead(raft, request);
}

function heartbeatResponse(raft: Raft, message: HeartbeatResponseMessage): void {
  const progress = raft.tracker.get(message.from);
  if (progress === undefined) return;
  progress.lastActiveTick = raft.ticks;
  progress.resume();
  // An Append may have been lost. In a full window, an empty one asks how far the member is.
  if (progress.match < raft.log.lastIndex || progress.state === ProgressState.Probe) {
    sendAppend(raft, message.from, progress);
  }
  if (message.round > 0) {
    raft.lease?.answered(message.from, message.round, message.promiseMs);
    raft.readOnly.ack(message.from, message.round);
    releaseReads(raft);
  }
}

/**
 * Holds a read until a read state or a ReadIndexResponse answers it. @returns whether it is held
 */
export function addRead(raft: Raft, request: ReadRequest): boolean {
  if (raft.readOnly.length + raft.earlyReads.length >= MAX_PENDING_READS) return false;
  // Before an entry of our term is committed, we may not know the latest commit (thesis §6.4).
  if (raft.committedInTerm) raft.readOnly.add(request);
  else raft.earlyReads.push(request);
  return true;
}

/**
 * Returns what is left of the lease in ms: 0 without a lease, or when it must not be used. `nowMs`
 * must be read after the reads that rely on it arrived; without it there is no lease.
 */
export function leaseRemainingMs(raft: Raft, nowMs: number | undefined): number {
  const { lease, tracker, pendingConfIndex } = raft;
  if (lease === undefined || nowMs === undefined) return 0;
  if (!raft.committedInTerm || pendingConfIndex > raft.log.applied) return 0;
  return lease.remainingMs(tracker.conf, raft.id, nowMs);
}

/**
 * Serves the reads since the last call: at once under a lease, otherwise with one round for all of
 * them. Called once per ready.
 */
export function serveReads(raft: Raft, nowMs: number | undefined): void {
  const { readOnly } = raft;
  if (!readOnly.hasWaiting) return;
  if (leaseRemainingMs(raft, nowMs) > 0) {
    const requests = readOnly.takeWaiting();
    raft.leaseReads += requests.length;
    for (const request of requests) {
      // Heartbeats of a round do not carry the commit to the follower that asks.
      if (request.from !== raft.id) bringUpToDate(raft, request.from);
      answerRead(raft, request, raft.log.commit);
    }
    return;
  }
  raft.quorumReads += readOnly.waitingCount;
  raft.readOnly.beginRound(raft.log.commit);
  broadcastHeartbeat(raft);
  releaseReads(raft);
}

export function releaseReads(raft: Raft): void {
  for (const { request, index } of raft.readOnly.release(raft.tracker.conf, raft.id)) {
    answerRead(raft, request, index);
  }
}

function answerRead(raft: Raft, { from, context }: ReadRequest, index: Index): void {
  if (from === raft.id) raft.readStates.push({ context, index });
  else {
    const { id, term } = raft;
    raft.send({ type: MessageType.ReadIndexResponse, from: id, to: from, term, context, index });
  }
}

function broadcastHeartbeat(raft: Raft): void {
  for (const id of raft.tracker.members) {
    if (id === raft.id) continue;
    const { match } = raft.tracker.get(id)!;
    // Beyond its match, the member's log may differ from ours.
    const commit = Math.min(match, raft.log.commit);
    const { id: from, term } = raft;
    const { round } = raft.readOnly;
    raft.send({ type: MessageType.Heartbeat, from, to: id, term, match, commit, round });
  }
}

/** Handles one tick of a leader. */
export function tickLeader(raft: Raft): void {
  raft.heartbeatElapsed++;
  raft.electionElapsed++;
  if (raft.electionElapsed >= raft.config.electionTicks) {
    raft.electionElapsed = 0;
    // A leader that does not hear a quorum could serve nobody, and would hide its successor.
    if (!raft.tracker.quorumActive(raft.id, raft.ticks - raft.config.electionTicks)) {
      raft.becomeFollower(raft.term, NOBODY);
      return;
    }
    // A transfer that took an election timeout has failed: accept proposals again (thesis §3.10).
    raft.transferee = NOBODY;
  }
  if (raft.heartbeatElapsed >= raft.config.heartbeatTicks) {
    raft.heartbeatElapsed = 0;
    // The number ties an answer to the time when its heartbeat was sent.
    raft.lease?.begin(raft.readOnly.nextRound());
    broadcastHeartbeat(raft);
  }
}

/**
 * Hands leadership to a voter as soon as it has the whole log. @returns whether the transfer began
 */
export function transferLeader(raft: Raft, to: MemberId): boolean {
  const progress = raft.tracker.get(to);
  if (to === raft.id || progress === undefined || !isVoter(raft.tracker.conf, to)) return false;
  if (raft.transferee === to) return true;
  raft.transferee = to;
  raft.electionElapsed = 0;
  if (progress.match === raft.log.lastIndex) orderCampaign(raft, to);
  else replicate(raft, to);
  return true;
}

/**
 * Hands leadership to the best of the others, without an election timeout, after the leader's own
 * change removed it or made it a learner. The others have been told that the change is committed
 * (applyConfChange).
 */
export function resign(raft: Raft): void {
  let best: MemberId = NOBODY;
  for (const id of raft.tracker.conf.voters) {
    if ((raft.tracker.get(id)?.match ?? 0) > (raft.tracker.get(best)?.match ?? 0)) best = id;
  }
  if (best !== NOBODY) orderCampaign(raft, best);
  raft.becomeFollower(raft.term, NOBODY);
}

/** Votes requested under this order ignore promises, and the order may arrive at any time. */
function orderCampaign(raft: Raft, to: MemberId): void {
  raft.lease?.renounce();
  raft.send({ type: MessageType.TimeoutNow, from: raft.id, to, term: raft.term });
}
