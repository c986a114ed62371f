import type { Readable } from 'node:stream';
import type { InitRequest, JoinRequest } from '@swarm/api';
import type { ManagerAccess } from '@swarm/manager';

export type LocalNodeState = 'inactive' | 'pending' | 'active' | 'error' | 'locked';

/** What this node knows of itself without asking anyone; `docker info` shows it. */
export interface LocalNodeInfo {
  readonly state: LocalNodeState;
  /** Empty while inactive. */
  readonly nodeId: string;
  /** Address other nodes reach this one at, without port. */
  readonly nodeAddr: string;
  /** Whether this node is a manager that answers for the cluster. */
  readonly controlAvailable: boolean;
  readonly remoteManagers: readonly { readonly nodeId: string; readonly address: string }[];
  /** Why the state is `error`, or why joining does not get on; empty otherwise. */
  readonly error: string;
  readonly clusterId?: string;
  /** The cluster's feature level, as the leader told this node's agent. */
  readonly featureLevel?: number;
}

/** What the daemon does for the API on this node. */
export interface NodeControl {
  info(): LocalNodeInfo;
  /**
   * Makes a new cluster with this node as its manager; resolves with the node's id when it leads.
   * @throws ApiError ALREADY_IN_SWARM, INVALID_ARGUMENT (addresses)
   */
  init(request: InitRequest): Promise<string>;
  /**
   * Resolves when the node has joined. After the API gave up waiting, it goes on in the background.
   * @throws ApiError ALREADY_IN_SWARM, INVALID_TOKEN, INVALID_ARGUMENT, TIMEOUT
   */
  join(request: JoinRequest): Promise<void>;
  /** Resolves when tasks are stopped and the state is gone. The API has checked `force` before. */
  leave(options: { readonly force: boolean }): Promise<void>;
  /** Present while this node is a manager whose Raft member runs. */
  manager(): Pick<ManagerAccess, 'members' | 'leaderAnswers'> | undefined;
  /** Absent where nothing can be restored. */
  readonly recovery?: RecoveryControl;
  /** The node's Docker Engine, which gets every request that is not the cluster's. */
  readonly engine?: { readonly socketPath: string };
}

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
