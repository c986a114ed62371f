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
import { FORWARDED_HEADER } from '../api/gate.js';
import { refuse } from '../api/hijack.js';
import { API_LIMITS } from '../api/limits.js';
import { ERROR_CODE_HEADER } from '../api/reply.js';
import type { Authority, NodeKind, Principal, Right } from '../authority/index.js';
import { checkValidity, identify, type Proof, type Trust } from '../ca/identify.js';
import { tlsServerOptions } from '../ca/tls-options.js';
import type { LocalManager } from './local-manager.js';
import { ANSWERED, type NodeRoute } from './node-routes.js';
import { asApiError } from './raft-errors.js';
import { PEER_HEADER, readPeer } from './forwarded.js';
import { RefusalLog } from './refusal-log.js';
import type { StandingConnections } from './standing.js';

/** Largest body of a request among nodes, and of all that are being read. */
const BODY_LIMIT_BYTES = 64 * 1024;
const BODIES_LIMIT_BYTES = 4 * 1024 * 1024;
/** TLS handshakes that take longer are cut. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A node that was admitted, and where it is. */
export interface Admitted {
  readonly nodeId: string;
  readonly kind: NodeKind;
  readonly remoteAddress: string;
}

/** What the port 2377 serves, by path. */
export interface ListenerRoutes {
  readonly trust: () => Trust;
  readonly authority: Authority;
  readonly standing: StandingConnections;
  /** Small JSON requests among nodes; undefined when the path is none of these. */
  node(method: string, path: string): NodeRoute | undefined;
  raft(socket: WebSocket, path: string, peer: Admitted): void;
  dispatcher(socket: WebSocket, peer: Admitted): void;
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
  /** What certificates were found to prove, and against which root: a connection shows one only. */
  readonly #proofs = new WeakMap<Duplex, { readonly proof: Proof; readonly root: string }>();
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
    this.#server.on('upgrade', (request, socket, head) => {
      socket.on('error', (error) => logger.debug({ err: error }, 'a connection broke'));
      this.#upgrade(request, socket, head).catch((error: unknown) => {
        const known = this.#known(request, error);
        refuse(socket, known.status, known.message, [ERROR_CODE_HEADER, known.code]);
      });
    });
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
    const path = pathOf(request);
    const route = this.#routes.node(request.method ?? 'GET', path);
    if (route === undefined) return this.#api(request, response);
    const proof = this.#prove(request);
    await this.#admit(request, proof, route.right, response);
    const remoteAddress = addressOf(request.socket);
    const raw = await this.#bodies.read(request);
    const answer = await route.handle({
      peer: proof === undefined ? { remoteAddress } : { remoteAddress, proof },
      request,
      response,
      raw,
      json: () => parseJson(raw),
    });
    if (answer === ANSWERED || response.headersSent) return;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const path = pathOf(request);
    const isRaft = path === RAFT_PATH || path === RAFT_SNAPSHOT_PATH;
    const proof = this.#prove(request);
    const right = isRaft || path === DISPATCHER_PATH ? `UPGRADE ${path}` : ANY_API_RIGHT;
    const principal = await this.#admit(request, proof, right);
    if (socket.destroyed) return;
    if (!isRaft && path !== DISPATCHER_PATH) {
      this.#routes.api.upgrade(request, socket, head, { principal, proof: proof! });
      return;
    }
    if (!('nodeId' in principal)) throw new ApiError('INTERNAL', `${right} is for nodes only`);
    const peer = { ...principal, remoteAddress: addressOf(request.socket) };
    const server = isRaft ? this.#raftSockets : this.#agentSockets;
    server.handleUpgrade(request, socket, head, (opened) =>
      isRaft ? this.#routes.raft(opened, path, peer) : this.#routes.dispatcher(opened, peer),
    );
  }

  /** Which route it is, the API's router finds; what a node may do there at all, it must be let do here. */
  async #api(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const proof = this.#prove(request);
    const principal = await this.#admit(request, proof, ANY_API_RIGHT, response);
    const forwarded = request.headers[FORWARDED_HEADER];
    if (forwarded === undefined && request.headers[PEER_HEADER] === undefined) {
      this.#routes.api.handle(request, response, { principal, proof: proof! });
      return;
    }
    // Only a manager got here, and it speaks for itself or for whom it names; for whom, is judged again.
    if (principal.kind !== 'manager' || forwarded !== principal.nodeId) {
      throw new ApiError('BAD_REQUEST', `the header ${FORWARDED_HEADER} names another node`);
    }
    const peer = readPeer(request);
    const forwardedBy = principal.nodeId;
    if (peer?.proof === undefined) {
      this.#routes.api.handle(request, response, { principal, proof: proof!, forwardedBy });
      return;
    }
    const { authority, trust } = this.#routes;
    checkValidity(peer.proof, trust().nowMs);
    const first = await authority.admit(peer.proof, ANY_API_RIGHT);
    this.#routes.api.handle(request, response, {
      principal: first,
      proof: peer.proof,
      forwardedBy,
    });
  }

  /**
   * What the certificate at the other end proves; undefined without one.
   * @throws ApiError UNAUTHENTICATED, CERTIFICATE_EXPIRED
   */
  #prove(request: IncomingMessage): Proof | undefined {
    const { socket } = request;
    if (!(socket instanceof TLSSocket)) return undefined;
    const trust = this.#routes.trust();
    const known = this.#proofs.get(socket);
    if (known?.root === trust.rootCertificate) {
      checkValidity(known.proof, trust.nowMs);
      return known.proof;
    }
    if (socket.getPeerX509Certificate() === undefined) return undefined;
    const proof = identify(socket, trust);
    this.#proofs.set(socket, { proof, root: trust.rootCertificate });
    return proof;
  }

  /** @throws ApiError when the table does not let it */
  async #admit(
    request: IncomingMessage,
    proof: Proof | undefined,
    right: string,
    response?: ServerResponse,
  ): Promise<Principal> {
    const { authority, standing } = this.#routes;
    const principal = await authority.admit(proof, right);
    const exchange = response === undefined ? undefined : { request, response };
    if (proof !== undefined) standing.note(request.socket, proof, right, exchange);
    return principal;
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
const DISPATCHER_PATH = '/dispatcher';
/** What whoever may use the API at all may use. */
const ANY_API_RIGHT: Right = 'GET /_ping';

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

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]!;
}

function addressOf(socket: Duplex): string {
  return ((socket as Partial<Socket>).remoteAddress ?? '').replace(/^::ffff:/, '');
}
