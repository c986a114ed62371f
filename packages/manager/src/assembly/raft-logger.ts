import type { Logger } from '@swarm/api';
import type { RaftLogger } from '@swarm/raft';

/** Raft's log lines among the manager's. */
export function raftLogger(logger: Logger): RaftLogger {
  const raft = logger.child({ part: 'raft' });
  return {
    info: (message, fields) => raft.info(fields ?? {}, message),
    warn: (message, fields) => raft.warn(fields ?? {}, message),
    error: (message, fields) => raft.error(fields ?? {}, message),
  };
}
