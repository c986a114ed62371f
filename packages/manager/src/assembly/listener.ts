import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { ApiError, DISPATCH_FRAME_LIMIT_BYTES, type Logger } from '@swarm/api';
import { type WebSocket, WebSocketServer } from 'ws';
import { identify, type Trust } from '../ca/identify.js';
import type { Subject } from '../ca/subject.js';
import { tlsServerOptions } from '../ca/tls-options.js';
import type { LocalManager } from './local-manager.js';

/** Largest frame of a Raft connection: one message of entries with its frame. */
const RAFT_FRAME_LIMIT_BYTES = 16 * 1024 * 1024;
const BODY_LIMIT_BYTES = 64 * 1024;
/** TLS handshakes that take longer are cut. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** A request whose sender is known. */
export interface Asked {
  readonly subject: Subject;
  readonly remoteAddress: string;
}

/** What the port 2377 serves, by path. */
export interface ListenerRoutes {
  readonly trust: () => Trust;
  /** Small JSON requests among nodes; undefined when the path is none of these. */
  node(method: string, path: string): NodeRoute | undefined;
  raft(socket: WebSocket, path: string, subject: Subject): void;
  dispatcher(socket: WebSocket, asked: Asked): void;
  /** Everything else: the API for remote clients. */
  api(request: IncomingMessage, response: ServerResponse, subject: Subject): void;
  apiUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, subject: Subject): void;
  /** Sets the API's bounds on the server. */
  bound(server: Server): void;
}

export interface NodeRoute {
  /** Who may ask: `anybody` has no certificate yet. */
  readonly who: 'anybody' | 'node' | 'manager';
  /** The answer, as JSON; `forward` when the request goes on to the leader instead. */
  handle(
    body: unknown,
    asked: Partial<Asked> & { remoteAddress: string },
    request: IncomingMessage,
    response: ServerResponse,
    raw: Buffer,
  ): Promise<unknown>;
}

/** Tells that the route has answered by itself. */
export const ANSWERED = Symbol('answered');

/** The port for nodes: Raft, dispatcher, CA and API over mutual TLS, told apart by path. */
export class Listener {
  readonly #server: Server;
  readonly #routes: ListenerRoutes;
  readonly #logger: Logger;
  readonly #raftSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: RAFT_FRAME_LIMIT_BYTES,
  });
  readonly #agentSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: DISPATCH_FRAME_LIMIT_BYTES,
  });

  constructor(self: LocalManager, routes: ListenerRoutes, logger: Logger) {
    this.#routes = routes;
    this.#logger = logger;
    this.#server = createServer({
      ...tlsServerOptions(self.identity()),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    });
    routes.bound(this.#server);
    this.#server.on('request', (request, response) => {
      this.#request(request, response).catch((error: unknown) => this.#refuse(response, error));
    });
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#server.on('tlsClientError', (error) =>
      logger.debug({ err: error }, 'a TLS handshake failed'),
    );
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          error.code === 'EADDRINUSE'
            ? new ApiError(
                'FAILED_PRECONDITION',
                `port ${port} on ${host} is taken by another program: free it, or choose another with --listen-addr`,
              )
            : new ApiError(
                'INVALID_ARGUMENT',
                `can not listen on ${host}:${port}: ${error.message}`,
              ),
        );
      });
      this.#server.listen(port, host, () => resolve());
    });
  }

  /** Uses a renewed certificate for connections made from now on. */
  renew(self: LocalManager): void {
    this.#server.setSecureContext(tlsServerOptions(self.identity()));
  }

  async close(): Promise<void> {
    for (const server of [this.#raftSockets, this.#agentSockets]) {
      for (const socket of server.clients) socket.terminate();
      server.close();
    }
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request);
    const route = this.#routes.node(request.method ?? 'GET', path);
    if (route === undefined) {
      this.#routes.api(request, response, this.#identify(request, 'manager'));
      return;
    }
    const remoteAddress = remoteOf(request);
    const subject =
      route.who === 'anybody'
        ? this.#maybeIdentify(request)
        : this.#identify(request, route.who === 'manager' ? 'manager' : undefined);
    const raw = await readBody(request);
    const asked = subject === undefined ? { remoteAddress } : { subject, remoteAddress };
    const answer = await route.handle(parseBody(raw), asked, request, response, raw);
    if (answer === ANSWERED) return;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? {}));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', (error) => this.#logger.debug({ err: error }, 'a connection broke'));
    try {
      const path = pathOf(request);
      if (path === '/dispatcher') {
        const subject = this.#identify(request);
        const asked = { subject, remoteAddress: remoteOf(request) };
        this.#agentSockets.handleUpgrade(request, socket, head, (opened) =>
          this.#routes.dispatcher(opened, asked),
        );
      } else if (path === '/raft' || path.startsWith('/raft/')) {
        const subject = this.#identify(request, 'manager');
        this.#raftSockets.handleUpgrade(request, socket, head, (opened) =>
          this.#routes.raft(opened, path, subject),
        );
      } else {
        this.#routes.apiUpgrade(request, socket, head, this.#identify(request, 'manager'));
      }
    } catch (error) {
      const known = asApiError(error);
      const body = errorBody(known);
      socket.end(
        `HTTP/1.1 ${known.status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
  }

  #identify(request: IncomingMessage, role?: 'manager'): Subject {
    const socket = request.socket;
    return identify(socket instanceof TLSSocket ? socket : undefined, this.#routes.trust(), role);
  }

  /** A joiner has no certificate, or one of a cluster that it left. */
  #maybeIdentify(request: IncomingMessage): Subject | undefined {
    const socket = request.socket;
    if (!(socket instanceof TLSSocket) || socket.getPeerX509Certificate() === undefined)
      return undefined;
    return this.#identify(request);
  }

  #refuse(response: ServerResponse, error: unknown): void {
    const known = asApiError(error);
    if (known.code === 'INTERNAL')
      this.#logger.error({ err: error }, 'a request among nodes failed by a fault of ours');
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.writeHead(known.status, { 'content-type': 'application/json', connection: 'close' });
    response.end(errorBody(known));
  }
}

function errorBody(error: ApiError): string {
  return JSON.stringify({ message: error.message, code: error.code });
}

function asApiError(error: unknown): ApiError {
  return error instanceof ApiError
    ? error
    : new ApiError('INTERNAL', (error as Error).message, { cause: error });
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0]!;
}

function remoteOf(request: IncomingMessage): string {
  return (request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > BODY_LIMIT_BYTES)
      throw new ApiError('TOO_LARGE', `the body is larger than ${BODY_LIMIT_BYTES} bytes`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function parseBody(raw: Buffer): unknown {
  if (raw.length === 0) return undefined;
  try {
    return JSON.parse(raw.toString());
  } catch (error) {
    throw new ApiError('BAD_REQUEST', `the body is not JSON: ${(error as Error).message}`);
  }
}
