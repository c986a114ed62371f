import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { ApiError, type Clock, DISPATCH_FRAME_LIMIT_BYTES, type Logger } from '@swarm/api';
import { RAFT_PATH, RAFT_SNAPSHOT_PATH, socketOptions } from '@swarm/raft';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ApiServer } from '../api/api-server.js';
import { BodyReader, parseJson } from '../api/body.js';
import { refuse } from '../api/hijack.js';
import { API_LIMITS } from '../api/limits.js';
import { ERROR_CODE_HEADER } from '../api/reply.js';
import { identify, type Trust } from '../ca/identify.js';
import type { Subject } from '../ca/subject.js';
import { tlsServerOptions } from '../ca/tls-options.js';
import type { LocalManager } from './local-manager.js';
import { ANSWERED, type NodeRoute } from './node-routes.js';
import { asApiError } from './raft-errors.js';
import { RefusalLog } from './refusal-log.js';

/** Largest body of a request among nodes, and of all that are being read. */
const BODY_LIMIT_BYTES = 64 * 1024;
const BODIES_LIMIT_BYTES = 4 * 1024 * 1024;
/** TLS handshakes that take longer are cut. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A node whose certificate was checked, and where it is. */
export interface Asked {
  readonly subject: Subject;
  readonly remoteAddress: string;
}

/** What the port 2377 serves, by path. */
export interface ListenerRoutes {
  readonly trust: () => Trust;
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
  readonly #bodies: BodyReader;
  /** Every connection, also in its handshake or taken over: nothing may outlive `close`. */
  readonly #sockets = new Set<Socket>();
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
    this.#bodies = new BodyReader(clock, {
      ...API_LIMITS,
      bodyBytes: BODY_LIMIT_BYTES,
      bodiesBytes: BODIES_LIMIT_BYTES,
    });
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
    this.#server.on('request', (request, response) => {
      response.on('error', () => {});
      this.#request(request, response).catch((error: unknown) =>
        this.#refuseRequest(request, response, error),
      );
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) =>
      this.#refusals.refused(
        { remoteAddress: addressOf(socket), error: error.message },
        error.code === 'ECONNRESET'
          ? 'a TLS handshake was broken off'
          : 'a connection to the managers’ port was no TLS of ours',
      ),
    );
  }

  /** @throws ApiError FAILED_PRECONDITION when the port is taken, INVALID_ARGUMENT */
  async listen(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(cannotListen(error, host, port));
      this.#server.once('error', failed);
      this.#server.listen(port, host, () => {
        this.#server.off('error', failed);
        resolve();
      });
    });
    // Out of file descriptors, for instance: those who are connected are still served.
    this.#server.on('error', (error) =>
      this.#logger.error({ err: error }, 'the managers’ port could not take a connection'),
    );
  }

  /** The port it listens on. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
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
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
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
    const raw = await this.#bodies.read(request);
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
        this.#agentSockets.handleUpgrade(request, socket, head, (opened) =>
          this.#routes.dispatcher(opened, asked),
        );
      } else if (path === RAFT_PATH || path === RAFT_SNAPSHOT_PATH) {
        const subject = this.#identify(request, 'manager');
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
    else this.#bodies.refuse(request, response, known);
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
