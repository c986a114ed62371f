import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError, type Clock, ERROR_CODE_HEADER, type Logger } from '@swarm/api';
import { BodyReader } from './body.js';
import { refuse } from './hijack.js';
import { HTTP_LIMITS, type HttpLimits } from './limits.js';
import { sendError } from './reply.js';
import type { HttpCall, HttpRoute } from './router.js';
import { parseTarget, type Target } from './target.js';

/** A request that matches no route. */
export type UnroutedCall<Caller> = Omit<HttpCall<Caller>, 'params'>;

/** A request that takes over its connection. */
export interface UpgradeCall<Caller> {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the parser read beyond the request's head. */
  readonly head: Buffer;
  readonly target: Target;
  readonly caller: Caller;
}

/**
 * What a server serves. An ApiError that it throws becomes the answer; any other error is a fault of ours.
 * @typeParam Caller who asks, as the owner of the server tells callers apart
 */
export interface Site<Caller> {
  /** Headers of every answer. */
  headers(): Readonly<Record<string, string>>;
  /** Undefined when no route matches the path. @throws ApiError METHOD_NOT_ALLOWED */
  find(
    method: string,
    path: string,
  ):
    | {
        readonly route: HttpRoute<Caller>;
        readonly params: Readonly<Record<string, string>>;
      }
    | undefined;
  /** @throws ApiError when this caller may not use the route this way */
  admit(caller: Caller, route: HttpRoute<Caller>, target: Target): void;
  unrouted(call: UnroutedCall<Caller>): Promise<void>;
  upgrade(call: UpgradeCall<Caller>): Promise<void>;
}

export interface HttpServerOptions<Caller> {
  readonly site: Site<Caller>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<HttpLimits>;
}

/** The part of a server that other listeners use. */
export type RequestHandler<Caller> = Pick<
  HttpServer<Caller>,
  'handle' | 'upgrade' | 'bound' | 'serverOptions'
>;

/** How often to look for half-sent requests; they live at most this much longer than headersMs. */
const CONNECTION_CHECK_MS = 1000;
const HEADERS_COUNT_LIMIT = 100;
const KEEP_ALIVE_MS = 60_000;
/** Who may use the socket: its owner and group. */
const SOCKET_MODE = 0o660;

/**
 * Answers the requests of a unix socket, and those that another listener accepts and passes to `handle` and
 * `upgrade` with their caller.
 */
export class HttpServer<Caller> {
  /** Reads bodies for the site. All count against one limit. */
  readonly bodies: BodyReader;
  /** Aborts when the server closes, to end streams that would last forever. */
  readonly closing: AbortSignal;
  readonly #options: HttpServerOptions<Caller>;
  readonly #limits: HttpLimits;
  readonly #end = new AbortController();
  readonly #servers = new Set<Server>();

  constructor(options: HttpServerOptions<Caller>) {
    this.#options = options;
    this.#limits = { ...HTTP_LIMITS, ...options.limits };
    this.bodies = new BodyReader(options.clock, this.#limits);
    this.closing = this.#end.signal;
  }

  /**
   * Serves a unix socket; everybody who may open it is this caller. Replaces a socket that a dead daemon
   * left.
   * @throws Error EADDRINUSE when another daemon answers on it
   */
  async listen(socketPath: string, caller: Caller): Promise<Server> {
    await removeStale(socketPath);
    const server = http.createServer(this.serverOptions());
    this.bound(server);
    server.on('request', (request, response) => this.handle(request, response, caller));
    server.on('upgrade', (request, socket, head) => this.upgrade(request, socket, head, caller));
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

  /** Options for `createServer`: the bounds that cannot be set later. */
  serverOptions(): { maxHeaderSize: number; connectionsCheckingInterval: number } {
    const { headerBytes, headersMs } = this.#limits;
    return {
      maxHeaderSize: headerBytes,
      connectionsCheckingInterval: Math.min(CONNECTION_CHECK_MS, headersMs),
    };
  }

  /**
   * Sets the bounds against slow and greedy clients. A server made elsewhere needs these and `serverOptions`.
   */
  bound(server: Server | HttpsServer): void {
    const { headersMs, connections } = this.#limits;
    server.headersTimeout = headersMs;
    // Bodies have their own bound (limits.bodyMs); what passes through to the engine has no bound: `docker
    // load` may take hours.
    server.requestTimeout = 0;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.maxHeadersCount = HEADERS_COUNT_LIMIT;
    server.maxConnections = connections;
    server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
      answerBadClient(error, socket, this.#options.clock),
    );
  }

  /** Answers one request. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse, caller: Caller): void {
    response.on('error', () => {});
    this.#answer(request, response, caller).catch((error: unknown) => {
      const known = this.#known(error, request);
      if (response.headersSent || request.complete) sendError(response, known);
      else this.bodies.refuse(request, response, known);
    });
  }

  /** Answers a request that takes over its connection. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, caller: Caller): void {
    socket.on('error', () => {});
    this.#hijack(request, socket, head, caller).catch((error: unknown) => {
      const known = this.#known(error, request);
      refuse(socket, known.status, known.message, this.#options.clock, [
        ERROR_CODE_HEADER,
        known.code,
      ]);
    });
  }

  /** Accepts no more requests, ends streams, waits `closeMs` for the rest, then cuts it. */
  async close(): Promise<void> {
    this.#end.abort();
    const { clock } = this.#options;
    await Promise.all(
      [...this.#servers].map(
        (server) =>
          new Promise<void>((resolve) => {
            const timer = clock.setTimeout(
              () => server.closeAllConnections(),
              this.#limits.closeMs,
            );
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
    const { site } = this.#options;
    for (const [name, value] of Object.entries(site.headers())) response.setHeader(name, value);
    const target = parseTarget(request.url ?? '/');
    const found = site.find(request.method ?? 'GET', target.path);
    if (found === undefined) return site.unrouted({ request, response, target, caller });
    const { route, params } = found;
    site.admit(caller, route, target);
    return route.handle({ request, response, target, params, caller });
  }

  async #hijack(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    caller: Caller,
  ): Promise<void> {
    const { site } = this.#options;
    const target = parseTarget(request.url ?? '/');
    if (site.find(request.method ?? 'GET', target.path) !== undefined)
      throw new ApiError('BAD_REQUEST', `${target.path} does not take over its connection`);
    await site.upgrade({ request, socket, head, target, caller });
  }

  #known(error: unknown, request: IncomingMessage): ApiError {
    if (error instanceof ApiError && error.code !== 'INTERNAL') return error;
    this.#options.logger.error(
      { err: error, method: request.method, url: request.url },
      'a request failed by a fault of ours',
    );
    return new ApiError('INTERNAL', `internal error: ${(error as Error).message}; see the log`);
  }
}

/** Answers what the parser rejects. */
function answerBadClient(error: NodeJS.ErrnoException, socket: Duplex, clock: Clock): void {
  // Already answered: the parser reports one more error for each piece that still arrives. Closing now would
  // keep the client from reading the answer; `refuse` closes in a moment.
  if (socket.writableEnded && error.code !== 'ECONNRESET') return;
  if (error.code === 'ECONNRESET') {
    socket.destroy();
  } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    refuse(socket, 408, 'the head of the request did not arrive in time', clock);
  } else if (error.code === 'HPE_HEADER_OVERFLOW') {
    refuse(socket, 431, 'the head of the request is too large', clock);
  } else {
    refuse(socket, 400, `malformed HTTP request: ${error.message}`, clock);
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
