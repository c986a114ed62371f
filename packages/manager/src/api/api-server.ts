import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError, ERROR_CODE_HEADER, type Clock, type Logger } from '@swarm/api';
import { LOCAL, mayUse, requireRight, type Right } from '@swarm/identity';
import { apiRoutes } from './api-routes.js';
import { API_VERSION_MAX, parseTarget, type Target } from './api-version.js';
import { BodyReader } from './body.js';
import { Engine } from './engine.js';
import { EventFeed } from './event-feed.js';
import { freshState, onLeader, requireManager } from './gate.js';
import { refuse } from './hijack.js';
import { SetAside } from '../set-aside.js';
import { API_LIMITS, type ApiLimits } from './limits.js';
import type { Caller, ManagerAccess, NodeControl } from './node-control.js';
import { PortClaims } from './port-claims.js';
import { sendError } from './reply.js';
import { type ApiServices, type Call, Router } from './router.js';

export interface ApiServerOptions {
  readonly control: NodeControl;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly logger: Logger;
  /** Version of this product, as `docker version` shows it. */
  readonly version: string;
  readonly limits?: Partial<ApiLimits>;
}

/** How often half-sent requests are looked for; they live at most this much longer than headersMs. */
const CONNECTION_CHECK_MS = 1000;
const HEADERS_COUNT_LIMIT = 100;
const KEEP_ALIVE_MS = 60_000;
/** Who may use the socket: its owner and group. */
const SOCKET_MODE = 0o660;

/**
 * Docker's API for one node. The same handler answers the unix socket and, called by the daemon with
 * the identity of the peer's certificate, the TLS port.
 */
export class ApiServer {
  readonly #services: ApiServices;
  readonly #router: Router;
  readonly #feed: EventFeed;
  readonly #closing = new AbortController();
  readonly #servers = new Set<Server>();

  constructor({ control, clock, randomBytes, logger, version, limits }: ApiServerOptions) {
    const all = { ...API_LIMITS, ...limits };
    this.#services = {
      control,
      clock,
      randomBytes,
      logger,
      aside: new SetAside(logger),
      version,
      limits: all,
      bodies: new BodyReader(clock, all),
      portClaims: new PortClaims(),
      engine:
        control.engine === undefined ? undefined : new Engine(control.engine.socketPath, clock),
      closing: this.#closing.signal,
    };
    this.#feed = new EventFeed(clock, this.#services.aside);
    this.#router = new Router(apiRoutes(this.#feed));
    this.#feed.attach(control.manager()?.store);
  }

  /** To be called when the node became a manager or ceased to be one; events are recorded from then. */
  refresh(): void {
    this.#feed.attach(this.#services.control.manager()?.store);
  }

  /**
   * Serves a unix socket with full rights: whoever may open it may do anything, as with Docker's.
   * A socket that a dead daemon left is replaced.
   * @throws Error EADDRINUSE when another daemon answers on it
   */
  async listen(socketPath: string): Promise<Server> {
    await removeStale(socketPath);
    const server = http.createServer(this.serverOptions());
    this.bound(server);
    const local: Caller = { principal: LOCAL };
    server.on('request', (request, response) => this.handle(request, response, local));
    server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head, local));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(socketPath, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(socketPath, SOCKET_MODE);
    this.#servers.add(server);
    return server;
  }

  /** What `createServer` has to be given for the bounds that can not be set later. */
  serverOptions(): { maxHeaderSize: number; connectionsCheckingInterval: number } {
    const { headerBytes, headersMs } = this.#services.limits;
    return {
      maxHeaderSize: headerBytes,
      connectionsCheckingInterval: Math.min(CONNECTION_CHECK_MS, headersMs),
    };
  }

  /** Sets the bounds against slow and greedy clients; with `serverOptions` for servers that the daemon makes too. */
  bound(server: Server | HttpsServer): void {
    const { headersMs, connections } = this.#services.limits;
    server.headersTimeout = headersMs;
    // Bodies have a bound of their own (limits.bodyMs); what passes through to the engine has none:
    // `docker load` may take hours.
    server.requestTimeout = 0;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.maxHeadersCount = HEADERS_COUNT_LIMIT;
    server.maxConnections = connections;
    server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      answerBadClient(error, socket),
    );
  }

  /** Answers one request. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller): void {
    response.on('error', () => {});
    this.#answer(request, response, caller).catch((error: unknown) => {
      const known = this.#known(error, request);
      if (response.headersSent || request.complete) sendError(response, known);
      else this.#services.bodies.refuse(request, response, known);
    });
  }

  /** Answers a request that wants its connection for itself; only the engine has such. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, caller: Caller): void {
    socket.on('error', () => {});
    this.#hijack(request, socket, head, caller).catch((error: unknown) => {
      const known = this.#known(error, request);
      refuse(socket, known.status, known.message, [ERROR_CODE_HEADER, known.code]);
    });
  }

  /** Takes no more requests, ends streams, waits for the rest a little, then cuts it. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#feed.close();
    const { clock, limits } = this.#services;
    await Promise.all(
      [...this.#servers].map(
        (server) =>
          new Promise<void>((resolve) => {
            const timer = clock.setTimeout(() => server.closeAllConnections(), limits.closeMs);
            server.close(() => {
              clock.clearTimeout(timer);
              resolve();
            });
            server.closeIdleConnections();
          }),
      ),
    );
    this.#servers.clear();
  }

  async #answer(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    this.#setHeaders(response);
    this.refresh();
    const target = parseTarget(request.url ?? '/');
    const found = this.#router.find(request.method ?? 'GET', target.path);
    if (found === undefined) {
      return this.#engineFor(caller).pass(request, response, target);
    }
    const { route, params } = found;
    const right = `${route.method} ${route.pattern}`;
    requireRight(caller.principal, right);
    // Who forwards speaks for somebody else; that is for what only the leader answers.
    if (caller.forwardedBy !== undefined && route.on !== 'leader') {
      throw new ApiError('BAD_REQUEST', `${target.path} is not answered by the leader alone`);
    }
    const call: Call = { request, response, target, params, caller, services: this.#services };
    if (route.on === 'node') return route.handle(call);
    const manager = requireManager(this.#services.control);
    const handle = (): Promise<void> | void => {
      requireStill(caller, manager, right);
      return route.handle(call, manager);
    };
    if (route.on === 'leader') return onLeader(call, manager, handle);
    await freshState(this.#services, manager);
    return handle();
  }

  async #hijack(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    caller: Caller,
  ): Promise<void> {
    const target: Target = parseTarget(request.url ?? '/');
    const found = this.#router.find(request.method ?? 'GET', target.path);
    if (found !== undefined) {
      throw new ApiError('BAD_REQUEST', `${target.path} does not take over its connection`);
    }
    await this.#engineFor(caller).hijack(request, socket, head, target);
  }

  /** The host's engine, for whom may use it. @throws ApiError NOT_FOUND: for others there is no such page */
  #engineFor({ principal }: Caller): Engine {
    const { engine } = this.#services;
    if (engine === undefined || !mayUse(principal.kind, ENGINE_RIGHT)) throw pageNotFound();
    return engine;
  }

  /** Headers of every answer of ours (Docker's names). */
  #setHeaders(response: ServerResponse): void {
    const { state, controlAvailable } = this.#services.control.info();
    const role = controlAvailable ? 'manager' : 'worker';
    response.setHeader('Api-Version', API_VERSION_MAX);
    response.setHeader('Docker-Experimental', 'false');
    response.setHeader('Ostype', 'linux');
    response.setHeader('Server', `Swarm/${this.#services.version} (linux)`);
    response.setHeader('Swarm', state === 'active' ? `active/${role}` : state);
    response.setHeader('Cache-Control', 'no-cache, no-store, must-revalidate');
    response.setHeader('Pragma', 'no-cache');
  }

  #known(error: unknown, request: IncomingMessage): ApiError {
    if (error instanceof ApiError && error.code !== 'INTERNAL') return error;
    this.#services.logger.error(
      { err: error, method: request.method, url: request.url },
      'a request failed by a fault of ours',
    );
    return new ApiError('INTERNAL', `internal error: ${(error as Error).message}; see the log`);
  }
}

/** The row of the table of rights for all that the cluster does not serve. */
const ENGINE_RIGHT: Right = 'engine';

/**
 * What the store said when the request came may be old by now: it was waited for a fresh state since.
 * @throws ApiError PERMISSION_DENIED
 */
function requireStill({ principal, proof }: Caller, manager: ManagerAccess, right: string): void {
  if (proof === undefined || manager.mayStill(proof, right)) return;
  const who = 'nodeId' in principal ? `node ${principal.nodeId}` : 'the caller';
  throw new ApiError('PERMISSION_DENIED', `${who} is not a manager any more`);
}

function pageNotFound(): ApiError {
  return new ApiError('NOT_FOUND', 'page not found');
}

/** What can not even be parsed. */
function answerBadClient(error: NodeJS.ErrnoException, socket: Duplex): void {
  // Answered: the parser goes on with what still comes, and each piece is one more error. Cut now, the
  // client would not read the answer; it is cut in a moment.
  if (socket.writableEnded && error.code !== 'ECONNRESET') return;
  if (error.code === 'ECONNRESET') {
    socket.destroy();
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    refuse(socket, 408, 'the head of the request did not arrive in time');
  } else if (error.code === 'HPE_HEADER_OVERFLOW') {
    refuse(socket, 431, 'the head of the request is too large');
  } else {
    refuse(socket, 400, `malformed HTTP request: ${error.message}`);
  }
}

async function removeStale(socketPath: string): Promise<void> {
  const found = lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined || !found.isSocket()) return;
  const answers = await new Promise<boolean>((resolve) => {
    const probe = net.connect(socketPath);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (!answers) unlinkSync(socketPath);
}
