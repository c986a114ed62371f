import type { RaftNode } from '@swarm/raft';

/** What observers and backups may have of a manager's Raft member. */
export type RaftAccess = Pick<RaftNode, 'status' | 'metrics' | 'view'>;
