import type { Readable } from 'node:stream';
import type {
  InitRequest,
  JoinRequest,
  MeshTrace,
  MeshTraceQuery,
  ReconnectRequest,
} from '@swarm/api';
import type { ManagerAccess } from '@swarm/manager';
import type { AttachableContainers } from '@swarm/worker';

export type LocalNodeState = 'inactive' | 'pending' | 'active' | 'error' | 'locked';

/** What this node knows about itself without asking others; `docker info` shows it. */
export interface LocalNodeInfo {
  readonly state: LocalNodeState;
  /** Empty while inactive. */
  readonly nodeId: string;
  /** Address other nodes reach this one at, without port. */
  readonly nodeAddr: string;
  /** Whether this node is a manager that answers for the cluster. */
  readonly controlAvailable: boolean;
  /** Whether it should be a manager and is not one yet. */
  readonly becomesManager?: boolean;
  readonly remoteManagers: readonly { readonly nodeId: string; readonly address: string }[];
  /** Why the state is `error`, or why joining makes no progress; empty otherwise. */
  readonly error: string;
  readonly clusterId?: string;
  /** The cluster's feature level, as the leader told this node's agent. */
  readonly featureLevel?: number;
}

/** What the daemon does for the API on this node. */
export interface NodeControl {
  info(): LocalNodeInfo;
  /**
   * Bootstraps a cluster with this node as its manager; resolves with the node's id when it leads.
   * @throws ApiError ALREADY_IN_SWARM, INVALID_ARGUMENT (addresses)
   */
  init(request: InitRequest): Promise<string>;
  /**
   * Resolves when the node has joined. Continues in the background when the API stops waiting.
   * @throws ApiError ALREADY_IN_SWARM, INVALID_TOKEN, INVALID_ARGUMENT, TIMEOUT
   */
  join(request: JoinRequest): Promise<void>;
  /** Resolves when tasks are stopped and the state is gone. The API has already checked `force`. */
  leave(options: { readonly force: boolean }): Promise<void>;
  /**
   * Takes other addresses, and looks for managers at the given ones. Absent when this node cannot.
   * @throws ApiError NOT_IN_SWARM, INVALID_ARGUMENT, TIMEOUT
   */
  reconnect?(request: ReconnectRequest): Promise<void>;
  /**
   * Where this node leads a connection. Absent when it has no mesh.
   * @param local the host's addresses
   * @throws RangeError for a query that it cannot answer
   * @throws ApiError NOT_IN_SWARM
   */
  traceMesh?(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace>;
  /** Present while this node is a manager whose Raft member runs. */
  manager(): Pick<ManagerAccess, 'members' | 'leaderAnswers' | 'otherLeader'> | undefined;
  /** Absent when this node cannot restore backups. */
  readonly recovery?: RecoveryControl;
  /** Containers of the engine that join networks of the cluster; undefined while none can. */
  attachable?(): AttachableContainers | undefined;
  /** The node's Docker Engine, which gets every request that is not the cluster's. */
  readonly engine?: { readonly socketPath: string };
}

/** What `swarm restore` asks for. The daemon finds addresses that are empty. */
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
   * Makes this node, which is in no cluster, the only manager of the cluster in a backup. Checks the whole
   * backup before it changes anything. Resolves with the node's id.
   * @throws ApiError ALREADY_IN_SWARM, INVALID_ARGUMENT
   */
  restore(request: RestoreRequest): Promise<string>;
}
