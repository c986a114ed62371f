import type { IncomingMessage } from 'node:http';
import type { LookupFunction } from 'node:net';
import { Readable } from 'node:stream';
import { ERROR_CODE_HEADER, systemProblem } from '@swarm/api/client';
import type { ManagerTls } from './client-tls.js';
import { checkSocket, type Route, routeTo } from './connect.js';
import { describeEndpoint, type Endpoint } from './endpoint.js';

/** The daemon refused a request; `message` is the daemon's own sentence. */
export class DaemonError extends Error {
  readonly status: number;
  /** Of our own daemon's errors (docs/errors.md). */
  readonly code: string | undefined;

  constructor(status: number, message: string, code?: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The answer of a request that changes something did not arrive: it may have been done. */
export class ReplyLostError extends Error {}

/** A daemon is connected and stays silent. */
class NoAnswerError extends Error {}

/** No daemon responds at the endpoint. */
export class DaemonUnreachableError extends Error {}

/** Longest wait for a reply; the daemon's own limits are shorter and say more. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Longest silence while a file is uploaded and processed. */
const UPLOAD_TIMEOUT_MS = 600_000;
const API_PREFIX = '/v1.50';

export type Query = Record<string, string | number | boolean | object | undefined>;

export interface ApiClientOptions {
  /** User that runs the command. */
  readonly uid?: number;
  /** Connects to managers over TLS, trusting the cluster's own root. */
  readonly managerTls?: ManagerTls;
  /** Resolves names; the system's resolver by default. */
  readonly lookup?: LookupFunction;
  /** Aborts all pending requests. */
  readonly signal?: AbortSignal;
  /** How long to wait for an answer; {@link REQUEST_TIMEOUT_MS} by default. */
  readonly timeoutMs?: number;
}

/** A plain client of the daemon's HTTP API: any Docker client can do what `swarm` does. */
export class ApiClient {
  readonly endpoint: Endpoint;
  readonly #options: ApiClientOptions;
  readonly #closed = new AbortController();
  #route: Promise<Route> | undefined;

  constructor(endpoint: Endpoint, options: ApiClientOptions = {}) {
    this.endpoint = endpoint;
    this.#options = options;
  }

  /** A client of another daemon, with the same credentials. */
  at(endpoint: Endpoint): ApiClient {
    return new ApiClient(endpoint, this.#options);
  }

  get<T>(path: string, query?: Query): Promise<T> {
    return this.call<T>('GET', path, query);
  }

  post<T>(
    path: string,
    query?: Query,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T> {
    return this.call<T>('POST', path, query, body, headers);
  }

  delete<T>(path: string, query?: Query): Promise<T> {
    return this.call<T>('DELETE', path, query);
  }

  /** @throws DaemonError with the daemon's message, DaemonUnreachableError when no daemon responds */
  async call<T>(
    method: string,
    path: string,
    query?: Query,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T> {
    const response = await this.#send(method, path, query, body, headers);
    const text = await this.#read(method, response);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw refusal(response, text);
    return (text === '' ? undefined : parse(text)) as T;
  }

  /** A reply that is read as it arrives: logs, events. */
  async stream(path: string, query?: Query): Promise<IncomingMessage> {
    const response = await this.#send('GET', path, query);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw refusal(response, await readAll(response));
    return response;
  }

  /** Uploads a file as it is. The reply may take as long as the daemon needs to process it. */
  async upload<T>(path: string, body: Readable, query?: Query): Promise<T> {
    const response = await this.#send('POST', path, query, body);
    const text = await readAll(response);
    const status = response.statusCode ?? 0;
    if (status >= 400) throw refusal(response, text);
    return parse(text) as T;
  }

  /** Aborts all pending requests. Every later one fails. */
  close(): void {
    this.#closed.abort(new Error('interrupted'));
  }

  /** Whether a daemon responds. */
  async ping(): Promise<boolean> {
    try {
      await this.get('/_ping');
      return true;
    } catch (error) {
      if (error instanceof DaemonUnreachableError) return false;
      throw error;
    }
  }

  async #send(
    method: string,
    path: string,
    query?: Query,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<IncomingMessage> {
    const stream = body instanceof Readable ? body : undefined;
    const payload =
      body === undefined || stream !== undefined ? undefined : Buffer.from(JSON.stringify(body));
    const { timeoutMs: givenMs = REQUEST_TIMEOUT_MS } = this.#options;
    const timeoutMs = stream === undefined ? givenMs : UPLOAD_TIMEOUT_MS;
    const { uid = process.getuid?.() ?? 0, managerTls = noManagerTls } = this.#options;
    const { lookup, signal: given } = this.#options;
    const closed = this.#closed.signal;
    const signal = given === undefined ? closed : AbortSignal.any([given, closed]);
    if ('socketPath' in this.endpoint) checkSocket(this.endpoint, uid);
    this.#route ??= routeTo(this.endpoint, managerTls, lookup);
    const { request, options } = await this.#route;
    return new Promise((resolve, reject) => {
      const call = request(
        {
          ...options,
          method,
          path: `${API_PREFIX}${path}${queryString(query)}`,
          timeout: timeoutMs,
          signal,
          headers: {
            host: 'swarm',
            ...headers,
            ...(payload === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': payload.length }),
          },
        },
        (response) => {
          call.setTimeout(0);
          resolve(response);
        },
      );
      call.on('timeout', () =>
        call.destroy(new NoAnswerError(`no answer within ${timeoutMs / 1000} s`)),
      );
      call.on('error', (error: NodeJS.ErrnoException) => reject(this.#explain(error, method)));
      if (stream === undefined) call.end(payload);
      else stream.once('error', (error) => call.destroy(error)).pipe(call);
    });
  }

  async #read(method: string, response: IncomingMessage): Promise<string> {
    try {
      return await readAll(response);
    } catch (error) {
      throw this.#explain(error as NodeJS.ErrnoException, method);
    }
  }

  #explain(error: NodeJS.ErrnoException, method: string): Error {
    const where = describeEndpoint(this.endpoint);
    if (error.code === 'EACCES') {
      return new DaemonUnreachableError(
        `permission denied on ${where}: run the command as the user that runs the daemon`,
      );
    }
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
      return new DaemonUnreachableError(
        `no swarm daemon responds at ${where}: start one with 'swarm init', 'swarm join' or 'swarm daemon', or name another with --host`,
      );
    }
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
      const what = `${where}: the daemon closed the connection before it answered`;
      if (method === 'GET') return new Error(`${what}: it may be stopping, and its log says why`);
      return new ReplyLostError(
        `${what}: it may have done what you asked; look before you try again. Its log says why`,
      );
    }
    if (error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN')
      return new DaemonUnreachableError(`${where}: no address is known for this name`);
    if (error instanceof NoAnswerError && method !== 'GET')
      return new ReplyLostError(
        `${where}: ${error.message}: it may have done what you asked; look before you try again`,
      );
    return new Error(`${where}: ${systemProblem(error)}`);
  }
}

function queryString(query: Query = {}): string {
  const parts = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
      return `${encodeURIComponent(key)}=${encodeURIComponent(text)}`;
    });
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refusal(response: IncomingMessage, text: string): DaemonError {
  const status = response.statusCode ?? 0;
  const code = response.headers[ERROR_CODE_HEADER.toLowerCase()];
  return new DaemonError(status, messageOf(text, status), code as string | undefined);
}

function messageOf(text: string, status: number): string {
  const body = parse(text);
  if (typeof body === 'object' && body !== null && 'message' in body) return String(body.message);
  return text.trim() || `the daemon answered ${status}`;
}

function noManagerTls(): never {
  throw new Error("this client has no support for the cluster's own certificates");
}
