import type { TaskConnections } from '../attachments/task-connections.js';
import type { LogOptions, ManagerStatus } from '@swarm/api';
import type { HttpCall } from '@swarm/http';
import type { Metric } from '@swarm/raft';
import type { Caller, Proof } from '@swarm/identity';
import type { Stranger } from '../authority/index.js';
import type { LogItem as LogRecord, LogRequest, LogSelector } from '../logbroker/index.js';
import type { RaftAccess } from '../recovery/raft-access.js';
import type { Store } from '../store/store.js';
import type { EventFeed } from './event-feed.js';

export type { LogRecord, LogSelector };

/** A Raft member as this manager sees it. */
export interface ManagerMember {
  readonly nodeId: string;
  /** `host:port`. */
  readonly address: string;
  /** Set while it is joining: it does not count for the quorum yet. */
  readonly learner?: boolean;
  readonly reachability: ManagerStatus['Reachability'];
  readonly leader: boolean;
}

export type Quorum =
  | { readonly state: 'ok' }
  /** `since`: milliseconds since the epoch. */
  | { readonly state: 'lost'; readonly since: number };

export interface ForwardOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** As for `proxyTo`. */
  readonly keepsBack: (code: string) => boolean;
}

/** What the API uses of a manager. */
export interface ManagerAccess {
  readonly store: Store;
  /** Every event since this manager began to apply the log. */
  readonly events: EventFeed;
  /** Joins running tasks to networks, while this manager leads. */
  readonly connections?: Pick<TaskConnections, 'connect' | 'disconnect'>;
  isLeader(): boolean;
  leader(): { readonly nodeId: string; readonly address: string } | undefined;
  /**
   * Resolves when this manager has applied everything committed before the call, for a linearizable read.
   * Rejects, or never settles, without a leader.
   */
  readBarrier(): Promise<void>;
  members(): readonly ManagerMember[];
  /** Why a change of the node's role does not go on, as far as this manager knows, while it leads. */
  roleNote?(nodeId: string): string | undefined;
  /** The Raft member, for observers and backups. */
  readonly raft?: RaftAccess;
  /** Nodes that this manager turned away lately because the cluster does not know them. */
  strangers?(): readonly Stranger[];
  /** Metrics of the port for nodes, for observers. */
  portMetrics?(): readonly Metric[];
  /**
   * Whether the leader known here answers and still leads. Ask before `forward`: a request sent to a leader
   * that just died is lost. Afterwards a follower's `members` knows which members the leader reaches.
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
   * Forwards to the leader over mutual TLS: `proxyTo` with the daemon's agent. Rejects only while nothing was
   * written to the response. The leader checks the caller's rights again. Gives up when another manager leads.
   * @returns as `proxyTo`
   * @throws AnswerLostError
   */
  forward(
    call: Pick<HttpCall<Caller>, 'request' | 'response' | 'caller'>,
    body: Buffer,
    options: ForwardOptions,
  ): Promise<string | undefined>;
  /** Whether the current store lets a node use this row of the table of rights. */
  mayStill(proof: Proof, right: string): boolean;
  quorum(): Quorum;
  /** The leader that other managers have, when this one has had none for a while and found it outside of Raft. */
  otherLeader?(): { readonly nodeId: string; readonly address: string } | undefined;
  /** Why a manager that lives was not asked for it: its clock or this one's is wrong. As of the last time. */
  timeProblem?(): string | undefined;
  /** Asks all known managers now whether one of them leads. */
  findLeader?(): Promise<{ readonly nodeId: string; readonly address: string } | undefined>;
}
