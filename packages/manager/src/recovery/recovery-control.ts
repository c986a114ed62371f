import type { Readable } from 'node:stream';
import type { RaftNode } from '@swarm/raft';

/** What `swarm restore` asks for. Empty addresses are to be found by the daemon. */
export interface RestoreRequest {
  /** The bytes of the backup. */
  readonly backup: Readable;
  readonly listenAddr: string;
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
}

/** What the daemon does for recovery. */
export interface RecoveryControl {
  /**
   * Makes this node, which is in no cluster, the only manager of the cluster in a backup. The whole
   * backup is checked before anything is touched. Resolves with the node's id.
   * @throws ApiError ALREADY_IN_SWARM, INVALID_ARGUMENT
   */
  restore(request: RestoreRequest): Promise<string>;
}

/** What observers and backups may have of a manager's Raft member. */
export type RaftAccess = Pick<RaftNode, 'status' | 'metrics' | 'view'>;
