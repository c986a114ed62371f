import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LogOptions, ManagerStatus } from '@swarm/api';
import type { Metric } from '@swarm/raft';
import type { Caller, Proof } from '@swarm/identity';
import type { LogItem as LogRecord, LogRequest, LogSelector } from '../logbroker/index.js';
import type { RaftAccess } from '../recovery/raft-access.js';
import type { Store } from '../store/store.js';

export type { LogRecord, LogSelector };

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
   * What `LogBroker.subscribe` yields, on any manager and across leaders, with an `open` before it. Ends early
   * when `signal` aborts. Throws ApiError NOT_FOUND before the `open` when the leader's version does not serve
   * other managers: the request has to be forwarded.
   */
  logs(selector: LogSelector, options: LogOptions, signal: AbortSignal): AsyncIterable<LogRecord>;
  /** The same from this manager's own broker, for another manager. Throws ApiError NO_QUORUM while it does not lead. */
  ownLogs(request: LogRequest, signal: AbortSignal): AsyncIterable<LogRecord>;
  /**
   * Has the leader answer, over mutual TLS: `proxyTo` with the daemon's agent. Rejects only while nothing was
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
