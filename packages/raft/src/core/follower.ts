import { assert } from './assert.js';
import { CampaignReason, campaign } from './election.js';
import {
  type AppendMessage,
  type HeartbeatMessage,
  type LeaderMessage,
  type Message,
  MessageType,
  type SnapshotMessage,
  type SnapshotOrder,
} from './message.js';
import type { Raft } from './raft.js';
import { type Index, type MemberId, NOBODY } from './types.js';

const LOST_ACKNOWLEDGED =
  'the disk of this member lost entries that it had acknowledged: remove the member from the cluster and let it rejoin under a new id';

/** Handles a message of our term as a follower. */
export function stepFollower(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.Append:
    case MessageType.Heartbeat:
    case MessageType.Snapshot:
      followLeader(raft, message);
      break;
    case MessageType.TimeoutNow:
      campaign(raft, CampaignReason.Transfer);
      break;
    case MessageType.ReadIndexResponse:
      raft.readStates.push({ context: message.context, index: message.index });
      break;
    default:
      // Ignores answers to a campaign or leadership that is over, and requests meant for a leader.
      break;
  }
}

/** Handles Append, Heartbeat and Snapshot: only the leader of the term sends these. */
export function followLeader(raft: Raft, message: LeaderMessage): void {
  assert(
    raft.leader === NOBODY || raft.leader === message.from,
    'two leaders in one term: the log can no longer be trusted',
    raft.leader,
    message.from,
  );
  raft.electionElapsed = 0;
  raft.heardTick = raft.ticks;
  raft.leader = message.from;
  if (message.type === MessageType.Append) append(raft, message);
  else if (message.type === MessageType.Heartbeat) heartbeat(raft, message);
  else snapshot(raft, message);
}

/** Tells the leader that our log matches its own up to `match`. */
export function accept(raft: Raft, leader: MemberId, match: Index): void {
  raft.send({
    type: MessageType.AppendResponse,
    from: raft.id,
    to: leader,
    term: raft.term,
    rejected: false,
    match,
  });
}

function append(raft: Raft, message: AppendMessage): void {
  const { from, previousIndex, previousTerm, entries, commit } = message;
  const { log } = raft;
  if (previousIndex < log.commit) {
    // The leader sent this before it knew how far we are. What is committed here is the same there.
    accept(raft, from, log.commit);
    return;
  }
  const last = log.tryAppend(previousIndex, previousTerm, entries);
  if (last !== undefined) {
    // Beyond `last` our log may differ from the leader's, whatever the leader has committed.
    log.commitTo(Math.min(commit, last));
    accept(raft, from, last);
    return;
  }
  // Reports the highest point where the logs could match, so that the leader skips a whole term at
  // a time.
  const hint = log.conflictByTerm(previousIndex, previousTerm);
  raft.send({
    type: MessageType.AppendResponse,
    from: raft.id,
    to: from,
    term: raft.term,
    rejected: true,
    previousIndex,
    hintIndex: hint.index,
    hintTerm: hint.term,
  });
}

function heartbeat(raft: Raft, message: HeartbeatMessage): void {
  // Within one term a log only grows by what its leader sends, so what we acknowledged must be
  // here. The leader has counted on it, perhaps for a commit. To answer as if nothing were missing
  // would hide the loss, and to vote with a shorter log could elect a leader that lacks committed
  // entries.
  assert(message.match <= raft.log.lastIndex, LOST_ACKNOWLEDGED, message.match, raft.log.lastIndex);
  raft.log.commitTo(message.commit);
  // The promise binds us from now on, which is later than the heartbeat was sent.
  const { promiseMs } = raft.config;
  raft.send({
    type: MessageType.HeartbeatResponse,
    from: raft.id,
    to: message.from,
    term: raft.term,
    promiseMs,
    round: message.round,
  });
}

/** Handles a snapshot. The host already holds the state itself; see RaftCore.step. */
function snapshot(raft: Raft, message: SnapshotOrder | SnapshotMessage): void {
  const meta = message.snapshot;
  if (meta === undefined) return;
  const { log } = raft;
  if (meta.index > log.commit) {
    // A matching entry proves that everything before it matches. Keep what follows and only commit.
    if (log.matches(meta.index, meta.term)) log.commitTo(meta.index);
    else {
      log.restore(meta);
      raft.setConf(meta.conf);
    }
  }
  accept(raft, message.from, log.commit);
}
