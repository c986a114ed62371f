import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import {
  ApiError,
  type Clock,
  ERROR_CODE_HEADER,
  ERRORS,
  type ErrorCode,
  formatWindow,
  isObjectId,
  parseHostPort,
  PROGRAM,
  PROTOCOL_HEADER,
} from '@swarm/api';
import { proxyTo } from '@swarm/http';
import { type NodeIdentity, tlsClientOptions } from '@swarm/identity';
import {
  type ForwardWay,
  type LeaderAddress,
  type LeaderLink,
  type ProbeReply,
  PROBE_PATH,
} from '@swarm/manager/assembly';

/** A longer wait for a silent leader is pointless: an election is faster. */
const PROBE_TIMEOUT_MS = 1000;
/** How long the leader's view of the members counts. */
const VIEW_LIFE_MS = 5000;
/** Until the leader's answer begins: longer than a leader takes to notice that it leads no more. */
const POST_TIMEOUT_MS = 5000;
const PROBE_REPLY_LIMIT_BYTES = 256 * 1024;
/**
 * Connections for requests of API clients: each stream (logs, events) keeps one. Requests of nodes have
 * their own, so that streaming clients cannot keep a node from renewing its certificate, nor delay a probe.
 * Together they stay below what the leader's port accepts from one manager (MANAGER_CLIENT_SHARE).
 */
export const LEADER_SOCKETS_LIMITS = { clients: 1000, nodes: 64 } as const;

const OWN_PROTOCOLS = { [PROTOCOL_HEADER]: formatWindow(PROGRAM.Protocol) };

/** A follower's link to the leader: probes it, and forwards requests over connections that it keeps. */
export class HttpsLeaderLink implements LeaderLink {
  readonly #limits: { readonly clients: number; readonly nodes: number };
  readonly #identity: () => NodeIdentity;
  readonly #clock: Clock;
  readonly #leader: () => LeaderAddress | undefined;
  #agents: LeaderAgents | undefined;
  #view:
    | { readonly leaderId: string; readonly atMs: number; reachable: ReadonlySet<number> }
    | undefined;

  constructor(
    identity: () => NodeIdentity,
    clock: Clock,
    leader: () => LeaderAddress | undefined,
    limits: { readonly clients: number; readonly nodes: number } = LEADER_SOCKETS_LIMITS,
  ) {
    this.#limits = limits;
    this.#identity = identity;
    this.#clock = clock;
    this.#leader = leader;
  }

  /**
   * Asks the leader known here whether it leads now. Costs a round trip but, unlike the request itself, can
   * be repeated.
   */
  async answers(): Promise<boolean> {
    const leader = this.#leader();
    const address = leader === undefined ? undefined : parseHostPort(leader.address);
    if (leader === undefined || address === undefined) return false;
    const reply = await this.#probe(this.#agentsFor(leader.nodeId).nodes, address);
    if (reply?.leads !== true) return false;
    this.#view = {
      leaderId: leader.nodeId,
      atMs: this.#clock.monotonicMs(),
      reachable: new Set(reply.reachable),
    };
    return true;
  }

  /** Members that the leader can reach, by its latest report; undefined when that is too old. */
  reachable(): ReadonlySet<number> | undefined {
    const view = this.#view;
    if (view === undefined || view.leaderId !== this.#leader()?.nodeId) return undefined;
    return this.#clock.monotonicMs() - view.atMs < VIEW_LIFE_MS ? view.reachable : undefined;
  }

  /**
   * Forwards a request to the leader, and its answer back.
   * @param way whose connections it uses; the rest as for `proxyTo`
   * @returns as `proxyTo`
   * @throws ApiError NO_QUORUM; AnswerLostError
   */
  async forward(
    request: IncomingMessage,
    response: ServerResponse,
    headers: Readonly<Record<string, string>>,
    body: Buffer,
    way: ForwardWay,
  ): Promise<string | undefined> {
    const leader = this.#leader();
    const address = leader === undefined ? undefined : parseHostPort(leader.address);
    if (leader === undefined || address === undefined)
      throw new ApiError('NO_QUORUM', 'no leader is known: try again');
    const { from, ...rest } = way;
    return proxyTo(
      {
        ...address,
        agent: this.#agentsFor(leader.nodeId)[from],
        headers: { ...headers, ...OWN_PROTOCOLS },
        name: 'the leader',
        body,
        ...rest,
      },
      request,
      response,
    );
  }

  /**
   * Asks the leader in this manager's own name, over the connections of clients.
   * @throws ApiError NO_QUORUM, TIMEOUT; what the leader answers
   */
  async post(path: string, body: unknown, signal: AbortSignal): Promise<IncomingMessage> {
    const leader = this.#leader();
    const address = leader === undefined ? undefined : parseHostPort(leader.address);
    if (leader === undefined || address === undefined)
      throw new ApiError('NO_QUORUM', 'no leader is known: try again');
    const payload = Buffer.from(JSON.stringify(body));
    const request = httpsRequest({
      ...address,
      ...{ agent: this.#agentsFor(leader.nodeId).clients, method: 'POST', path, signal },
      headers: {
        ...OWN_PROTOCOLS,
        'content-type': 'application/json',
        'content-length': payload.byteLength,
      },
    });
    const timer = this.#clock.setTimeout(
      () => request.destroy(new Error(`no answer within ${POST_TIMEOUT_MS} ms`)),
      POST_TIMEOUT_MS,
    );
    try {
      return await new Promise<IncomingMessage>((resolve, reject) => {
        request.on('error', (error) => reject(unreachable(error)));
        request.on('response', (answer) => {
          // Who reads it sees the same error.
          answer.on('error', () => {});
          if (answer.statusCode === 200) resolve(answer);
          else refusalOf(answer).then(reject, (error: Error) => reject(unreachable(error)));
        });
        request.end(payload);
      });
    } finally {
      this.#clock.clearTimeout(timer);
    }
  }

  /** Later requests use new connections with the current certificate. */
  renew(): void {
    this.#retire();
    this.#agents = undefined;
  }

  /** Ends the connections at once. */
  close(): void {
    this.#agents?.clients.destroy();
    this.#agents?.nodes.destroy();
    this.#agents = undefined;
  }

  #probe(agent: Agent, address: { host: string; port: number }): Promise<ProbeReply | undefined> {
    return new Promise((resolve) => {
      const probe = httpsRequest({ ...address, agent, path: PROBE_PATH, headers: OWN_PROTOCOLS });
      const timer = this.#clock.setTimeout(() => probe.destroy(), PROBE_TIMEOUT_MS);
      probe.on('error', () => resolve(undefined));
      probe.on('close', () => {
        this.#clock.clearTimeout(timer);
        resolve(undefined);
      });
      probe.on('response', (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk: string) => {
          text += chunk;
          if (text.length > PROBE_REPLY_LIMIT_BYTES) probe.destroy();
        });
        answer.on('error', () => resolve(undefined));
        answer.on('end', () => resolve(answer.statusCode === 200 ? readProbe(text) : undefined));
      });
      probe.end();
    });
  }

  /** Keeps connections while the leader and our certificate stay the same. */
  #agentsFor(nodeId: string): LeaderAgents {
    const identity = this.#identity();
    const known = this.#agents;
    if (known?.nodeId === nodeId && known.certificate === identity.certificate) return known;
    this.#retire();
    const agentOf = (maxSockets: number) =>
      new Agent({ ...tlsClientOptions(identity, nodeId), keepAlive: true, maxSockets });
    this.#agents = {
      nodeId,
      certificate: identity.certificate,
      clients: agentOf(this.#limits.clients),
      nodes: agentOf(this.#limits.nodes),
    };
    return this.#agents;
  }

  #retire(): void {
    if (this.#agents === undefined) return;
    retire(this.#agents.clients);
    retire(this.#agents.nodes);
  }
}

/** Connections to one leader with one certificate of ours. */
interface LeaderAgents {
  readonly nodeId: string;
  readonly certificate: string;
  readonly clients: Agent;
  readonly nodes: Agent;
}

/** Lets requests in progress finish, and keeps neither their connections nor idle ones. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const idle of Object.values(agent.freeSockets))
    for (const socket of idle ?? []) socket.destroy();
}

function unreachable({ message }: Error): ApiError {
  return new ApiError('TIMEOUT', `the leader could not be reached: ${message}; try again`);
}

/** The error that an answer reports. */
async function refusalOf(answer: IncomingMessage): Promise<ApiError> {
  let text = '';
  answer.setEncoding('utf8');
  for await (const chunk of answer) {
    text += chunk as string;
    if (text.length > PROBE_REPLY_LIMIT_BYTES) break;
  }
  const code = answer.headers[ERROR_CODE_HEADER.toLowerCase()];
  let message = text.trim();
  try {
    message = String((JSON.parse(text) as { message?: unknown }).message);
  } catch {
    // Not JSON: the text itself says something.
  }
  const known = typeof code === 'string' && Object.hasOwn(ERRORS, code);
  return new ApiError(known ? (code as ErrorCode) : 'TIMEOUT', message);
}

function readProbe(text: string): ProbeReply | undefined {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof said !== 'object' || said === null) return undefined;
  const { nodeId, leads, reachable } = said as Readonly<Record<string, unknown>>;
  if (!isObjectId(nodeId) || typeof leads !== 'boolean') return undefined;
  if (reachable === undefined) return { nodeId, leads };
  if (!Array.isArray(reachable) || !reachable.every(Number.isSafeInteger)) return undefined;
  return { nodeId, leads, reachable: reachable as number[] };
}
