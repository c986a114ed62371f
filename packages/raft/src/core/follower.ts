import { assert } from './assert.js';
import { CampaignReason, campaign } from './election.js';
import { type Message, MessageType } from './message.js';
import type { Raft } from './raft.js';
import { NOBODY } from './types.js';

const LOST_ACKNOWLEDGED =
  'the disk of this member lost entries that it had acknowledged: remove it from the cluster and let it rejoin under a new id';

/** A message of our term to a follower. */
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
      // Answers to a campaign or a leadership that is over, requests for a leader.
      break;
  }
}

/** Append, Heartbeat or Snapshot: only the leader of the term sends these. */
export function followLeader(raft: Raft, message: Message): void {
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

function append(raft: Raft, message: Message): void {
  const { from, index, logTerm, entries, commit } = message;
  const { log } = raft;
  if (index < log.commit) {
    // Sent before the leader knew how far we are. What is committed here is the same there.
    raft.send(MessageType.AppendResponse, from, { index: log.commit });
    return;
  }
  const last = log.tryAppend(index, logTerm, entries);
  if (last !== undefined) {
    // Beyond `last` our log may differ from the leader's, whatever it has committed.
    log.commitTo(Math.min(commit, last));
    raft.send(MessageType.AppendResponse, from, { index: last });
    return;
  }
  // Tell where we could meet at best, so that the leader skips a whole term at a time.
  const hint = log.conflictByTerm(index, logTerm);
  raft.send(MessageType.AppendResponse, from, {
    reject: true,
    index,
    rejectHint: hint.index,
    logTerm: hint.term,
  });
}

function heartbeat(raft: Raft, message: Message): void {
  // In one term a log only grows by what its leader sends, so what we acknowledged must be here. The
  // leader has counted on it, perhaps for a commit: answering as if nothing were missing would hide
  // the loss, and voting with a shorter log could elect a leader that lacks committed entries.
  assert(message.index <= raft.log.lastIndex, LOST_ACKNOWLEDGED, message.index, raft.log.lastIndex);
  raft.log.commitTo(message.commit);
  // We are bound from now on, which is after the heartbeat was sent.
  const { promiseMs } = raft.config;
  raft.send(MessageType.HeartbeatResponse, message.from, {
    index: promiseMs,
    context: message.context,
  });
}

/** The state itself is already with the host; see RaftCore.step. */
function snapshot(raft: Raft, message: Message): void {
  const meta = message.snapshot;
  if (meta === undefined) return;
  const { log } = raft;
  if (meta.index > log.commit) {
    // An entry that matches proves that all before it match: keep what follows, just commit.
    if (log.matches(meta.index, meta.term)) log.commitTo(meta.index);
    else {
      log.restore(meta);
      raft.setConf(meta.conf);
    }
  }
  raft.send(MessageType.AppendResponse, message.from, { index: log.commit });
}
