import type { IncomingMessage, ServerResponse } from 'node:http';
import type { InitRequest, JoinRequest, LogOptions, ManagerStatus } from '@swarm/api';
import type { Metric } from '@swarm/raft';
import type { Principal } from '../authority/index.js';
import type { Proof } from '../ca/identify.js';
import type { LogItem as LogRecord, LogSelector } from '../logbroker/index.js';
import type { RaftAccess, RecoveryControl } from '../recovery/recovery-control.js';
import type { Store } from '../store/store.js';

export type { LogRecord, LogSelector };

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
  manager(): ManagerAccess | undefined;
  /** Absent where nothing can be restored. */
  readonly recovery?: RecoveryControl;
  /** The node's Docker Engine, which gets every request that is not the cluster's. */
  readonly engine?: { readonly socketPath: string };
}

/** A Raft member as this manager sees it. */
export interface ManagerMember {
  readonly nodeId: string;
  /** `host:port`. */
  readonly address: string;
  readonly reachability: ManagerStatus['Reachability'];
  readonly leader: boolean;
}

export type Quorum =
  | { readonly state: 'ok' }
  /** `since`: milliseconds since the epoch. */
  | { readonly state: 'lost'; readonly since: number };

/** What the API uses of a manager. */
export interface ManagerAccess {
  readonly store: Store;
  isLeader(): boolean;
  leader(): { readonly nodeId: string; readonly address: string } | undefined;
  /**
   * A linearizable read: resolves when what is applied here includes everything that was committed
   * before the call. Rejects, or never settles, without a leader.
   */
  readBarrier(): Promise<void>;
  members(): readonly ManagerMember[];
  /** Its Raft member, for observers and backups. */
  readonly raft?: RaftAccess;
  /** Of its port for nodes, for observers. */
  portMetrics?(): readonly Metric[];
  /**
   * Whether the leader known here answers as one at this moment. Ask before `forward`: a request that is
   * sent to a leader that just died is lost. On a follower `members` knows more after it.
   */
  leaderAnswers(): Promise<boolean>;
  /**
   * What `LogBroker.subscribe` yields; only called on the leader. Ends early when `signal` aborts. A
   * warning may also be thrown as an error at the end.
   */
  logs(selector: LogSelector, options: LogOptions, signal: AbortSignal): AsyncIterable<LogRecord>;
  /**
   * Has the leader answer, over mutual TLS: `proxyTo` with the daemon's agent. Rejects only when nothing was
   * written to the response. The leader judges the caller again.
   * @returns false when it leads no more: it did nothing, and the next leader may be asked
   */
  forward(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Caller,
    body: Buffer,
  ): Promise<boolean>;
  /** Whether the store as it is now lets a node use this row of the table of rights. */
  mayStill(proof: Proof, right: string): boolean;
  quorum(): Quorum;
}

/** Who asks. Found by the caller of ApiServer.handle: the socket's file mode, or certificate and store. */
export interface Caller {
  readonly principal: Principal;
  /** What the certificate proved, so that the store can be asked again; absent for local clients. */
  readonly proof?: Proof;
  /** The manager that had this request first and sent it on: it is not sent on again. */
  readonly forwardedBy?: string;
}
