import { ApiError, type ErrorCode } from '@swarm/api';
import { RaftError } from '@swarm/raft';

/** What Raft refuses, as a peer hears it; everything else of Raft's is a fault of ours. */
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

/** An error of Raft's as an ApiError with the code that fits; any other as it is. */
export function asApiError(error: unknown): unknown {
  if (!(error instanceof RaftError)) return error;
  const code = CODES[error.code];
  return code === undefined ? error : new ApiError(code, error.message, { cause: error });
}
