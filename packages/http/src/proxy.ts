import http, {
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
  type ServerResponse,
} from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream';
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
  /** Whether an answer with this error code is not the client's, since the request can be made again. */
  readonly isAgain?: (code: string) => boolean;
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
 * @returns false when `isAgain` kept the answer back; nothing was written to the response then
 * @throws ApiError TIMEOUT when the other side cannot be reached, or goes away before it answers
 */
export function proxyTo(
  target: ProxyTarget,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
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
      resolve(true);
    };
    response.once('close', onGone);
    upstream.once('error', (error) => {
      response.off('close', onGone);
      if (response.headersSent || response.destroyed) {
        response.destroy();
        resolve(true);
        return;
      }
      reject(
        new ApiError('TIMEOUT', `${target.name} could not be reached: ${error.message}; try again`),
      );
    });
    upstream.once('response', (answer) => {
      const code = answer.headers[ERROR_CODE_HEADER.toLowerCase()];
      if (typeof code === 'string' && target.isAgain?.(code) === true) {
        response.off('close', onGone);
        answer.resume();
        resolve(false);
        return;
      }
      response.writeHead(
        answer.statusCode ?? 502,
        answer.statusMessage,
        endToEndHeaders(answer.headers),
      );
      // Clients of streams (logs, events) need the head before the first line.
      response.flushHeaders();
      pipeline(answer, response, () => resolve(true));
    });
    if (target.body !== undefined) upstream.end(target.body);
    else pipeline(request, upstream, () => {});
  });
}
