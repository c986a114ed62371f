import { countVote } from './election.js';
import { followLeader } from './follower.js';
import { type Message, MessageType } from './message.js';
import { type Raft, Role } from './raft.js';

/**
 * Handles a message of our term as a candidate or pre-candidate. A granted pre-vote carries the
 * next term.
 */
export function stepCandidate(raft: Raft, message: Message): void {
  switch (message.type) {
    case MessageType.Append:
    case MessageType.Heartbeat:
    case MessageType.Snapshot:
      // Another member won this term.
      raft.becomeFollower(message.term, message.from);
      followLeader(raft, message);
      break;
    case MessageType.PreVoteResponse:
      // A grant repeats the term we asked for, so one from an earlier campaign does not count.
      if (raft.role !== Role.PreCandidate) break;
      if (!message.granted || message.term === raft.term + 1) {
        countVote(raft, message.from, message.granted);
      }
      break;
    case MessageType.VoteResponse:
      if (raft.role === Role.Candidate) countVote(raft, message.from, message.granted);
      break;
    default:
      break;
  }
}
