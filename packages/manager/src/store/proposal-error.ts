import { ApiError } from '@swarm/api';

/**
 * Converts the error of a failed proposal to one for the user. Matches Raft's errors by their `code`, so that
 * errors of another copy of the package match as well.
 */
export function proposalError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  switch (code) {
    case 'RAFT_NOT_LEADER':
      return new ApiError(
        'NO_QUORUM',
        'this manager does not lead the cluster, nothing was changed: try again',
        {
          cause: error,
        },
      );
    case 'RAFT_QUORUM_LOST':
      return new ApiError(
        'NO_QUORUM',
        'the swarm does not have a leader: make sure that more than half of the managers are online',
        { cause: error },
      );
    case 'RAFT_PROPOSAL_DROPPED':
      return new ApiError(
        'NO_QUORUM',
        'the change was not made because the leader is changing: try again',
        {
          cause: error,
        },
      );
    case 'RAFT_PROPOSAL_UNKNOWN':
    case 'RAFT_STOPPED':
    case 'RAFT_TIMEOUT':
      return new ApiError(
        'TIMEOUT',
        'the change was not committed yet; it may still be: check before you repeat it',
        { cause: error },
      );
    case 'RAFT_OVERLOADED':
      return new ApiError('OVERLOADED', 'too many changes are under way: try again', {
        cause: error,
      });
    case 'RAFT_PROPOSAL_TOO_LARGE':
      return new ApiError('TOO_LARGE', 'the change is too large for one log entry: split it', {
        cause: error,
      });
    default:
      return new ApiError(
        'INTERNAL',
        `the change failed and may still happen, look before you repeat it: ${String(error)}`,
        {
          cause: error,
        },
      );
  }
}
