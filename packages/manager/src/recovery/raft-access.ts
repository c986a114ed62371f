import type { RaftNode } from '@swarm/raft';

/** The part of a manager's Raft member that observers and backups may use. */
export type RaftAccess = Pick<RaftNode, 'status' | 'metrics' | 'view'>;
