import { stepCandidate } from './candidate.js';
import { ballot } from './election.js';
import { accept, stepFollower } from './follower.js';
import { stepLeader } from './leader.js';
import { type Message, MessageType, type PreVoteMessage, type VoteMessage } from './message.js';
import { isBound } from './promise.js';
import { type Raft, Role } from './raft.js';
import { NOBODY } from './types.js';

/** Handles one message: first its term, then votes, which are alike in all roles, then the rest. */
export function step(raft: Raft, message: Message): void {
  if (!isWellFormed(raft, message)) return;
  learnCommit(raft, message);
  if (message.term > raft.term && !newerTerm(raft, message)) return;
  if (message.term < raft.term) {
    olderTerm(raft, message);
    return;
  }
  switch (message.type) {
    case MessageType.PreVote:
    case MessageType.Vote:
      answerVote(raft, message);
      return;
    default:
      stepRole(raft, message);
  }
}

function stepRole(raft: Raft, message: Message): void {
  switch (raft.role) {
    case Role.Follower:
      stepFollower(raft, message);
      break;
    case Role.PreCandidate:
    case Role.Candidate:
      stepCandidate(raft, message);
      break;
    case Role.Leader:
      stepLeader(raft, message);
      break;
  }
}

/** Drops a message that a sound peer cannot have sent, or sent to another member. */
function isWellFormed(raft: Raft, message: Message): boolean {
  if (message.to !== raft.id || message.from === NOBODY || message.term <= 0) return false;
  if (message.type !== MessageType.Append) return true;
  let previous = message.previousTerm;
  for (const [i, entry] of message.entries.entries()) {
    if (entry.index !== message.previousIndex + 1 + i) return false;
    if (entry.term < previous || entry.term > message.term) return false;
    previous = entry.term;
  }
  return true;
}

/**
 * A refused vote carries the index that the voter knows to be committed. If that entry is in our log, it
 * is committed here too. That holds whatever the term of the answer: a member that was removed may stay in
 * an older term than ours, because it grants us nothing, and nobody else may tell us.
 */
function learnCommit(raft: Raft, message: Message): void {
  const { type } = message;
  if (type !== MessageType.PreVoteResponse && type !== MessageType.VoteResponse) return;
  if (message.granted || message.commit === 0 || raft.role === Role.Leader) return;
  const { commit, commitTerm } = message;
  if (raft.log.matches(commit, commitTerm)) raft.log.commitTo(commit);
}

/** @returns whether to continue with the message */
function newerTerm(raft: Raft, message: Message): boolean {
  switch (message.type) {
    case MessageType.PreVote:
    case MessageType.Vote: {
      // We hear a leader, so the candidate is cut off or was removed (thesis §4.2.3).
      const leased = raft.leader !== NOBODY && raft.electionElapsed < raft.config.electionTicks;
      if ((leased || isBound(raft)) && !message.force) return false;
      // A question about an election changes nobody's term.
      if (message.type === MessageType.PreVote) return true;
      break;
    }
    case MessageType.PreVoteResponse:
      // A grant repeats the term we asked for, which is not ours until we win.
      if (message.granted) {
        if (raft.role === Role.PreCandidate) stepCandidate(raft, message);
        return false;
      }
      break;
    default:
      break;
  }
  const leads =
    message.type === MessageType.Append ||
    message.type === MessageType.Heartbeat ||
    message.type === MessageType.Snapshot;
  raft.becomeFollower(message.term, leads ? message.from : NOBODY);
  return true;
}

function olderTerm(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.Append:
    case MessageType.Heartbeat:
    case MessageType.Snapshot:
      // A deposed leader must hear of our term. So must the leader that we no longer follow, when
      // we are a candidate that nobody elects: without an answer we would stay apart for ever.
      accept(raft, message.from, 0);
      break;
    case MessageType.PreVote:
      raft.send(ballot(MessageType.PreVoteResponse, raft, message.from, raft.term, false, 0, 0));
      break;
    default:
      break;
  }
}

/**
 * Answers a request for a vote (paper §5.2 and §5.4.1). Learners answer too: they may be voters
 * without knowing it yet.
 */
function answerVote(raft: Raft, message: PreVoteMessage | VoteMessage): void {
  const { from, type, term } = message;
  const pre = type === MessageType.PreVote;
  const response = pre ? MessageType.PreVoteResponse : MessageType.VoteResponse;
  // A promise outlives the term it was given in.
  const bound = isBound(raft) && !message.force;
  const free =
    raft.vote === from ||
    (!bound && raft.vote === NOBODY && raft.leader === NOBODY) ||
    (pre && term > raft.term);
  if (!free || !raft.log.isUpToDate(message.lastIndex, message.lastTerm)) {
    // Carries our commit. A member that the candidate still counts may refuse it for its log,
    // because the candidate does not know that the change that ends this membership is committed.
    const { commit } = raft.log;
    const commitTerm = raft.log.term(commit) ?? 0;
    raft.send(ballot(response, raft, from, raft.term, false, commit, commitTerm));
    return;
  }
  // Carries the candidate's term: in a pre-vote, ours may be older.
  raft.send(ballot(response, raft, from, term, true, 0, 0));
  if (!pre) {
    raft.electionElapsed = 0;
    raft.vote = from;
  }
}
