import { ApiError, type ErrorCode } from '@swarm/api';
import { RaftError } from '@swarm/raft';

/** The code that a peer gets for each refusal of Raft. Any other error of Raft is a fault of ours. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  RAFT_NOT_LEADER: 'NO_QUORUM',
  RAFT_QUORUM_LOST: 'NO_QUORUM',
  RAFT_STOPPED: 'NO_QUORUM',
  RAFT_PROPOSAL_DROPPED: 'NO_QUORUM',
  RAFT_PROPOSAL_UNKNOWN: 'TIMEOUT',
  RAFT_TIMEOUT: 'TIMEOUT',
  RAFT_OVERLOADED: 'OVERLOADED',
  RAFT_MEMBER_REMOVED: 'CONFLICT',
  RAFT_MEMBER_NOT_FOUND: 'FAILED_PRECONDITION',
  RAFT_REMOVAL_LOSES_QUORUM: 'FAILED_PRECONDITION',
};

/** Turns Raft's refusals into ApiErrors; returns any other error as it is. */
export function asApiError(error: unknown): unknown {
  if (!(error instanceof RaftError)) return error;
  const code = CODES[error.code];
  return code === undefined ? error : new ApiError(code, error.message, { cause: error });
}
