import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { ApiError, type Clock, DISPATCH_FRAME_LIMIT_BYTES, type Logger } from '@swarm/api';
import { type Metric, RAFT_PATH, RAFT_SNAPSHOT_PATH, socketOptions } from '@swarm/raft';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ApiServer } from '../api/api-server.js';
import { BodyReader, parseJson } from '../api/body.js';
import { refuse } from '../api/hijack.js';
import { ERROR_CODE_HEADER } from '../api/reply.js';
import { identify, type Trust } from '../ca/identify.js';
import type { Subject } from '../ca/subject.js';
import { tlsServerOptions } from '../ca/tls-options.js';
import { BODY_LIMITS, type BodyClass } from './body-limits.js';
import {
  ConnectionBudgets,
  DESCRIPTORS_NEEDED,
  limitsFor,
  type ProvedNode,
} from './connection-budgets.js';
import { descriptorLimit } from './descriptor-limit.js';
import { type Connection, FrontDoor, HANDSHAKE_TIMEOUT_MS } from './front-door.js';
import type { LocalManager } from './local-manager.js';
import type { NodeAddresses } from './node-addresses.js';
import { ANSWERED, type NodeRoute } from './node-routes.js';
import { asApiError } from './raft-errors.js';
import { RefusalLog } from './refusal-log.js';

/** A node whose certificate was checked, and where it is. */
export interface Asked {
  readonly subject: Subject;
  readonly remoteAddress: string;
}

/** What the port 2377 serves, by path. */
export interface ListenerRoutes {
  readonly trust: () => Trust;
  readonly addresses: Pick<NodeAddresses, 'has' | 'see'>;
  /** Whether the cluster made a worker of this node, whatever an old certificate of it says. */
  isWorker(nodeId: string): boolean;
  /** Small JSON requests among nodes; undefined when the path is none of these. */
  node(method: string, path: string): NodeRoute | undefined;
  raft(socket: WebSocket, path: string, subject: Subject): void;
  dispatcher(socket: WebSocket, asked: Asked): void;
  /** Everything else: the API for remote clients. */
  readonly api: Pick<ApiServer, 'handle' | 'upgrade' | 'bound' | 'serverOptions'>;
}

/** The port for nodes: Raft, dispatcher, CA and API over mutual TLS, told apart by path. */
export class Listener {
  readonly #server: Server;
  readonly #routes: ListenerRoutes;
  readonly #logger: Logger;
  readonly #refusals: RefusalLog;
  readonly #bodies: Readonly<Record<BodyClass, BodyReader>>;
  readonly #door: FrontDoor;
  readonly #raftSockets = new WebSocketServer({ noServer: true, ...socketOptions() });
  readonly #agentSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: DISPATCH_FRAME_LIMIT_BYTES,
  });

  constructor(
    self: LocalManager,
    routes: ListenerRoutes,
    { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
  ) {
    this.#routes = routes;
    this.#logger = logger;
    this.#refusals = new RefusalLog(logger, clock);
    this.#bodies = {
      unproved: new BodyReader(clock, BODY_LIMITS.unproved),
      worker: new BodyReader(clock, BODY_LIMITS.worker),
      manager: new BodyReader(clock, BODY_LIMITS.manager),
    };
    this.#server = createServer({
      ...tlsServerOptions(self.identity()),
      ...routes.api.serverOptions(),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // Before the API's own listener answers: what comes after that is more of the same.
      if (error.code !== 'ECONNRESET' && !socket.writableEnded)
        this.#refusals.refused(
          { remoteAddress: addressOf(socket), error: error.message },
          'a request to the managers’ port was no HTTP',
        );
    });
    routes.api.bound(this.#server);
    this.#door = new FrontDoor({
      server: this.#server,
      budgets: this.#budgets(),
      addresses: routes.addresses,
      clock,
      // Whoever floods the port must not push out of the log what others are refused for.
      refusals: new RefusalLog(logger, clock),
      prove: (socket) => this.#prove(socket),
    });
    const take = (request: IncomingMessage, response: ServerResponse): void => {
      response.on('error', () => {});
      if (!this.#door.request(request, response)) return;
      this.#request(request, response).catch((error: unknown) =>
        this.#refuseRequest(request, response, error),
      );
    };
    this.#server.on('request', take);
    this.#server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      // A body that is too long is refused before it is sent.
      if (!this.#bodiesOf(request).isTooLong(request)) response.writeContinue();
      take(request, response);
    });
    this.#server.on('upgrade', (request, socket, head) => {
      if (this.#door.request(request)) this.#upgrade(request, socket, head);
    });
  }

  /** @throws ApiError FAILED_PRECONDITION when the port is taken, INVALID_ARGUMENT */
  async listen(host: string, port: number): Promise<void> {
    await this.#door.listen(host, port).catch((error: unknown) => {
      throw cannotListen(error as NodeJS.ErrnoException, host, port);
    });
    // Out of file descriptors, for instance: those who are connected are still served.
    this.#door.onError((error) =>
      this.#logger.error({ err: error }, 'the managers’ port could not take a connection'),
    );
  }

  /** The port it listens on. */
  get port(): number {
    return this.#door.port;
  }

  /** For observers. */
  metrics(): readonly Metric[] {
    return this.#door.metrics();
  }

  /** Uses a renewed certificate for connections made from now on. */
  renew(self: LocalManager): void {
    this.#server.setSecureContext(tlsServerOptions(self.identity()));
  }

  /** Cuts every connection; resolves when the port is free. */
  async close(): Promise<void> {
    for (const server of [this.#raftSockets, this.#agentSockets]) {
      for (const socket of server.clients) socket.terminate();
      server.close();
    }
    await this.#door.close();
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const route = this.#routes.node(request.method ?? 'GET', pathOf(request));
    if (route === undefined) {
      const subject = this.#identify(request, 'manager');
      this.#routes.api.handle(request, response, identityOf(subject));
      return;
    }
    const subject =
      route.who === 'anybody' ? this.#maybeIdentify(request) : this.#identify(request, 'manager');
    const remoteAddress = addressOf(request.socket);
    const raw = await this.#bodiesOf(request).read(request);
    const answer = await route.handle({
      peer: subject === undefined ? { remoteAddress } : { subject, remoteAddress },
      request,
      response,
      raw,
      json: () => parseJson(raw),
    });
    if (answer === ANSWERED || response.headersSent) return;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', (error) => this.#logger.debug({ err: error }, 'a connection broke'));
    try {
      const path = pathOf(request);
      if (path === '/dispatcher') {
        const subject = this.#identify(request);
        const asked = { subject, remoteAddress: addressOf(request.socket) };
        this.#door.takeOver(request.socket, 'agent');
        this.#agentSockets.handleUpgrade(request, socket, head, (opened) =>
          this.#routes.dispatcher(opened, asked),
        );
      } else if (path === RAFT_PATH || path === RAFT_SNAPSHOT_PATH) {
        const subject = this.#identify(request, 'manager');
        this.#door.takeOver(request.socket, 'raft');
        this.#raftSockets.handleUpgrade(request, socket, head, (opened) =>
          this.#routes.raft(opened, path, subject),
        );
      } else {
        const subject = this.#identify(request, 'manager');
        this.#routes.api.upgrade(request, socket, head, identityOf(subject));
      }
    } catch (error) {
      const known = this.#known(request, error);
      refuse(socket, known.status, known.message, [ERROR_CODE_HEADER, known.code]);
    }
  }

  #identify(request: IncomingMessage, role?: 'manager'): Subject {
    const { socket } = request;
    const peer = socket instanceof TLSSocket ? socket : undefined;
    const subject = identify(peer, this.#routes.trust(), role);
    if (role === 'manager' && this.#routes.isWorker(subject.nodeId)) {
      throw new ApiError(
        'PERMISSION_DENIED',
        `Node ${subject.nodeId} was demoted: its manager's certificate is of no use any more.`,
      );
    }
    return subject;
  }

  /** Whose share of connections it counts in. Who gets nothing by its certificate hears why later. */
  #prove(socket: TLSSocket): ProvedNode | undefined {
    if (socket.getPeerX509Certificate() === undefined) return undefined;
    try {
      const { nodeId, role } = identify(socket, this.#routes.trust());
      return { nodeId, role: this.#routes.isWorker(nodeId) ? 'worker' : role };
    } catch (error) {
      if (error instanceof ApiError) return undefined;
      throw error;
    }
  }

  #bodiesOf({ socket }: IncomingMessage): BodyReader {
    return this.#bodies[this.#door.nodeOf(socket)?.role ?? 'unproved'];
  }

  #budgets(): ConnectionBudgets<Connection> {
    const descriptors = descriptorLimit();
    if (descriptors < DESCRIPTORS_NEEDED)
      this.#logger.warn(
        { descriptors, needed: DESCRIPTORS_NEEDED },
        'this process may open too few files for 10,000 nodes: raise LimitNOFILE or `ulimit -n`',
      );
    return new ConnectionBudgets(limitsFor(descriptors));
  }

  /** A joiner has no certificate, or one of a cluster that it left. */
  #maybeIdentify(request: IncomingMessage): Subject | undefined {
    const { socket } = request;
    if (!(socket instanceof TLSSocket) || socket.getPeerX509Certificate() === undefined)
      return undefined;
    return this.#identify(request);
  }

  #refuseRequest(request: IncomingMessage, response: ServerResponse, error: unknown): void {
    const known = this.#known(request, error);
    if (response.headersSent) response.destroy();
    else this.#bodiesOf(request).refuse(request, response, known);
  }

  /** What the peer hears; it is logged, too. */
  #known(request: IncomingMessage, thrown: unknown): ApiError {
    const error = asApiError(thrown);
    const about = {
      remoteAddress: addressOf(request.socket),
      method: request.method,
      path: pathOf(request).slice(0, PATH_LOG_LIMIT),
    };
    if (error instanceof ApiError && error.code !== 'INTERNAL') {
      const { code, message: reason } = error;
      this.#refusals.refused({ ...about, code, reason }, 'refused a request on the managers’ port');
      return error;
    }
    this.#logger.error(
      { err: thrown, ...about },
      'a request among nodes failed by a fault of ours',
    );
    return new ApiError('INTERNAL', `internal error: ${(thrown as Error).message}; see the log`);
  }
}

const PATH_LOG_LIMIT = 100;

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): ApiError {
  if (error.code === 'EADDRINUSE')
    return new ApiError(
      'FAILED_PRECONDITION',
      `port ${port} on ${host} is taken by another program: free it, or choose another with --listen-addr`,
    );
  return new ApiError(
    'INVALID_ARGUMENT',
    `can not listen on ${host}:${port}: ${error.message}; give an address of this host with --listen-addr`,
  );
}

function identityOf({ nodeId, role }: Subject) {
  return { kind: 'node', nodeId, role } as const;
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]!;
}

function addressOf(socket: Duplex): string {
  return ((socket as Partial<Socket>).remoteAddress ?? '').replace(/^::ffff:/, '');
}
