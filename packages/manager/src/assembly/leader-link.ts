import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ReplyBody } from '../logbroker/index.js';

/** The leader as this manager knows it. */
export type LeaderAddress = { readonly nodeId: string; readonly address: string };

/** Answer of `GET /raft/probe`. */
export interface ProbeReply {
  readonly nodeId: string;
  readonly leads: boolean;
  /** The run of its daemon. Programs before it sent none. */
  readonly instance?: string;
  /** Raft ids of the members that the leader hears from; only the leader sends them. */
  readonly reachable?: readonly number[];
}

export interface ForwardWay {
  readonly from: 'clients' | 'nodes';
  readonly keepsBack?: (code: string) => boolean;
  readonly signal?: AbortSignal;
}

/** A follower's way to the leader. */
export interface LeaderLink {
  /**
   * Asks the leader known here whether it leads now. Costs a round trip but, unlike the request itself, can
   * be repeated.
   */
  answers(): Promise<boolean>;
  /** Raft ids of the members that the leader hears from, from its last answer; undefined when that is too old. */
  reachable(): ReadonlySet<number> | undefined;
  /**
   * Forwards a request to the leader, and its answer back.
   * @param way the pool of connections to use; the rest as for `proxyTo`
   * @returns as `proxyTo`
   * @throws ApiError NO_QUORUM; AnswerLostError
   */
  forward(
    request: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
    body: Buffer,
    way: ForwardWay,
  ): Promise<string | undefined>;
  /**
   * Asks the leader in this manager's own name. Resolves with the body of its answer, a stream.
   * @param body sent as JSON
   * @throws ApiError NO_QUORUM, TIMEOUT; what the leader answers
   */
  post(path: string, body: unknown, signal: AbortSignal): Promise<ReplyBody>;
  /** Later requests use a connection of their own, made with the certificate of then. */
  renew(): void;
  /** Ends the connections at once. */
  close(): void;
}
