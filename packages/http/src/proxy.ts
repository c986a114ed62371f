import http, {
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
  type ServerResponse,
} from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { ApiError, ERROR_CODE_HEADER } from '@swarm/api';

/**
 * Where to forward a request: a unix socket, or another host over TLS. The type allows no host in clear text.
 */
export type ProxyTarget = ProxyRequest & (SocketTarget | TlsTarget);

interface SocketTarget {
  readonly socketPath: string;
}

interface TlsTarget {
  readonly host: string;
  readonly port: number;
  /** Makes and keeps the connections: TLS options belong here. */
  readonly agent: https.Agent;
}

interface ProxyRequest {
  /** Path and query, when they differ from the request's. */
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** What the other side is, for error messages: `the leader`. */
  readonly name: string;
  /** Sent instead of the request's body, when that was read already. */
  readonly body?: Buffer;
  /** Whether an answer with this error code is kept from the client, since the caller has a better one. */
  readonly keepsBack?: (code: string) => boolean;
  /** Gives up on an answer that has not begun. */
  readonly signal?: AbortSignal;
}

/** The other side went away, or could not be reached, before it answered. */
export class AnswerLostError extends ApiError {
  /** Whether the other side may have got the request and done what it asks. */
  readonly mayBeDone: boolean;

  constructor(name: string, mayBeDone: boolean, cause: Error) {
    super(
      'TIMEOUT',
      mayBeDone
        ? `${name} went away before it answered (${cause.message}): it may have done this; look before you try again`
        : `${name} could not be reached (${cause.message}): nothing was done; try again`,
      { cause },
    );
    this.mayBeDone = mayBeDone;
  }
}

/** Headers that belong to one connection (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

export function endToEndHeaders(headers: IncomingMessage['headers']): OutgoingHttpHeaders {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !HOP_BY_HOP.has(name) && !named.includes(name.toLowerCase()),
    ),
  );
}

export function requestOptions(request: IncomingMessage, target: ProxyTarget): RequestOptions {
  const to =
    'socketPath' in target
      ? { socketPath: target.socketPath }
      : { host: target.host, port: target.port, agent: target.agent };
  return {
    ...to,
    method: request.method ?? 'GET',
    path: target.path ?? request.url ?? '/',
    headers: { ...endToEndHeaders(request.headers), ...target.headers },
  };
}

export function openRequest(options: RequestOptions): http.ClientRequest {
  return options.agent instanceof https.Agent ? https.request(options) : http.request(options);
}

/**
 * Forwards a request, and its answer back, both as streams that hold only what is in flight. Resolves when
 * the answer is complete, or when either side has gone and the other is cut. Rejects only while nothing of an
 * answer is written.
 * @returns the error code of the answer that `keepsBack` kept; nothing was written to the response then.
 *   Undefined when the client has its answer
 * @throws AnswerLostError when the other side cannot be reached, or goes away before it answers
 */
export function proxyTo(
  target: ProxyTarget,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const options = requestOptions(request, target);
    if (target.body !== undefined) {
      options.headers = {
        ...(options.headers as OutgoingHttpHeaders),
        'content-length': target.body.byteLength,
      };
    } else if (request.headers['transfer-encoding'] !== undefined) {
      options.headers = {
        ...(options.headers as OutgoingHttpHeaders),
        'transfer-encoding': 'chunked',
      };
    }
    const upstream = openRequest(options);
    const onGone = (): void => {
      if (!response.writableFinished) upstream.destroy();
      resolve(undefined);
    };
    response.once('close', onGone);
    let isSent = false;
    whenConnected(upstream, () => {
      isSent = true;
    });
    const { signal } = target;
    const giveUp = (): void => void upstream.destroy(signal?.reason as Error);
    signal?.addEventListener('abort', giveUp, { once: true });
    // It may be over before this begins.
    if (signal?.aborted === true) giveUp();
    upstream.once('close', () => signal?.removeEventListener('abort', giveUp));
    upstream.once('error', (error) => {
      response.off('close', onGone);
      if (response.headersSent || response.destroyed) {
        response.destroy();
        resolve(undefined);
        return;
      }
      reject(new AnswerLostError(target.name, isSent && !isSafe(options.method), error));
    });
    upstream.once('response', (answer) => {
      signal?.removeEventListener('abort', giveUp);
      const code = answer.headers[ERROR_CODE_HEADER.toLowerCase()];
      if (typeof code === 'string' && target.keepsBack?.(code) === true) {
        response.off('close', onGone);
        answer.resume();
        resolve(code);
        return;
      }
      response.writeHead(
        answer.statusCode ?? 502,
        answer.statusMessage,
        endToEndHeaders(answer.headers),
      );
      // Clients of streams (logs, events) need the head before the first line.
      response.flushHeaders();
      pipeline(answer, response, () => resolve(undefined));
    });
    if (target.body !== undefined) upstream.end(target.body);
    else pipeline(request, upstream, () => {});
  });
}

/** Methods that change nothing (RFC 9110 section 9.2.1). */
function isSafe(method: string | undefined): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Calls back once the request can reach the other side: with TLS after the handshake. */
function whenConnected(request: http.ClientRequest, then: () => void): void {
  request.once('socket', (socket: Socket) => {
    if (request.reusedSocket) then();
    else if (socket instanceof TLSSocket) socket.once('secureConnect', then);
    else if (socket.connecting) socket.once('connect', then);
    else then();
  });
}
