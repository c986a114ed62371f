import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ApiError, type Clock, ROLE_LABEL, SANDBOX_ROLE } from '@swarm/api';
import { readEventLines } from './event-lines.js';
import { hijackTo } from './hijack.js';
import {
  asksForOwn,
  countOwn,
  type OwnContainers,
  SandboxEvents,
  sparingPrune,
  usageWithoutSandboxes,
  withoutSandboxes,
} from './own-containers.js';
import {
  AnswerLostError,
  endToEndHeaders,
  type ProxyTarget,
  proxyTo,
  requestOptions,
} from './proxy.js';
import { minorOf, type Target } from './target.js';

const ASK_TIMEOUT_MS = 2000;
const ASK_BYTES_LIMIT = 4 * 1024 * 1024;
/** Largest answer that is read whole, to change it; a list of a thousand containers is about 3 MB. */
const CHANGED_BYTES_LIMIT = 64 * 1024 * 1024;
const VERSION_KEPT_MS = 60_000;
/** Filter for a list of the containers that only hold a network. */
const SANDBOXES = encodeURIComponent(
  JSON.stringify({ label: { [`${ROLE_LABEL}=${SANDBOX_ROLE}`]: true } }),
);
const SANDBOXES_PATH = `/containers/json?all=1&filters=${SANDBOXES}`;

/** Containers of the engine whose network is the cluster's, as clients should see them. */
export interface PlacedContainers {
  /** A container as the engine lists or describes it; unchanged if it is not one of these. */
  show(container: unknown): unknown;
  /** Those on a network, by id, as Docker describes them in a network. */
  on(networkId: string): Readonly<Record<string, object>>;
}

/** Where a request to the engine goes. */
interface EngineTarget {
  readonly socketPath: string;
  readonly path: string;
}

/** An answer of the engine, of any status. */
export interface EngineReply {
  readonly status: number;
  readonly body: Buffer;
}

const INSPECTED = /^\/containers\/[^/]+\/json$/;

/** The node's Docker Engine, behind our socket. */
export class Engine {
  readonly #socketPath: string;
  readonly #clock: Clock;
  /** Set by the owner; undefined while there are none. */
  placed: () => PlacedContainers | undefined = () => undefined;
  #minor: { readonly value: number; readonly at: number } | undefined;

  constructor(socketPath: string, clock: Clock) {
    this.#socketPath = socketPath;
    this.#clock = clock;
  }

  /** Passes a request through. @param body its body, if already read. @throws ApiError */
  async pass(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    body?: Buffer,
  ): Promise<void> {
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    await proxyTo(
      { ...(await this.#target(target)), ...(body !== undefined && { body }) },
      request,
      response,
    );
  }

  /**
   * Answers a client of the engine: passes its request through, but hides the containers that only hold a
   * network (see own-containers.ts), and keeps the cluster's from a prune. @throws ApiError
   */
  async serve(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const { query } = target;
    const pass = (changed: URLSearchParams) =>
      this.pass(request, response, { ...target, query: changed });
    switch (`${request.method} ${target.path}`) {
      case 'POST /containers/prune':
        return pass(sparingPrune(query));
      case 'GET /containers/json':
        return asksForOwn(query) ? pass(query) : this.#list(request, response, target);
      case 'GET /system/df':
        return this.#changed(request, response, target, usageWithoutSandboxes);
      case 'GET /events':
        return asksForOwn(query) ? pass(query) : this.#events(request, response, target);
      default:
        return this.#other(request, response, target);
    }
  }

  async #other(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const placed = this.placed();
    if (placed === undefined || request.method !== 'GET' || !INSPECTED.test(target.path))
      return this.pass(request, response, target);
    return this.#changed(request, response, target, (container) => placed.show(container));
  }

  /** Sends the engine a request with this JSON body; resolves with its answer. @throws ApiError */
  async send(method: string, target: Target, body: unknown): Promise<EngineReply> {
    const { path, socketPath } = await this.#target(target);
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const request = http.request({ socketPath, path, method, headers }, (answer) => {
        void bodyOf(answer, ASK_BYTES_LIMIT).then((read) => {
          if (read === undefined) request.destroy(new Error('the answer is cut off or too large'));
          else resolve({ status: answer.statusCode ?? 502, body: read });
        });
      });
      request.once('error', (error) =>
        reject(new AnswerLostError('the Docker Engine of this node', true, error)),
      );
      request.end(JSON.stringify(body));
    });
  }

  /** How many containers only hold a network; undefined when the engine does not answer. */
  async own(): Promise<(OwnContainers & { readonly running: number }) | undefined> {
    const containers = await this.ask(SANDBOXES_PATH);
    return containers === undefined ? undefined : countOwn(containers);
  }

  /** Tells which events are of containers that only hold a network. */
  async sandboxEvents(): Promise<SandboxEvents> {
    return new SandboxEvents(await this.ask(SANDBOXES_PATH));
  }

  /** Passes through a request that takes over its connection. */
  async hijack(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    target: Target,
  ): Promise<void> {
    hijackTo(await this.#target(target), request, socket, head, this.#clock);
  }

  /** Sends the engine a request of our own; undefined when it does not answer 200 with JSON in time. */
  async ask(path: string, method: 'GET' | 'POST' = 'GET'): Promise<unknown> {
    try {
      const { status, body } = await this.#get(path, method);
      return status === 200 ? JSON.parse(body) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Opens a stream of the engine; undefined when it does not answer. Ends with `signal`. */
  stream(path: string, signal: AbortSignal): Promise<IncomingMessage | undefined> {
    return new Promise((resolve) => {
      const request = http.get({ socketPath: this.#socketPath, path, signal }, (answer) => {
        if (answer.statusCode === 200) return resolve(answer);
        answer.resume();
        resolve(undefined);
      });
      request.once('error', () => resolve(undefined));
    });
  }

  /** Lists containers. The engine would count ours in `limit`, so it is applied here. */
  #list(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const query = new URLSearchParams(target.query);
    const limit = Number(query.get('limit') ?? 0);
    const isLimited = Number.isInteger(limit) && limit > 0;
    if (isLimited) {
      query.delete('limit');
      // As with a limit of the engine's: the last ones made, running or not.
      query.set('all', '1');
    }
    return this.#changed(request, response, { ...target, query }, (containers) => {
      const listed = withoutSandboxes(containers);
      if (!Array.isArray(listed)) return listed;
      const placed = this.placed();
      const shown = isLimited ? listed.slice(0, limit) : listed;
      return placed === undefined ? shown : shown.map((one) => placed.show(one));
    });
  }

  /** Follows the engine's events without those of sandboxes. */
  async #events(request: IncomingMessage, response: ServerResponse, target: Target): Promise<void> {
    const sandboxes = await this.sandboxEvents();
    const answer = await this.#open(request, response, target);
    answer.once('close', () => response.end());
    if (answer.statusCode !== 200) {
      answer.pipe(response);
      return;
    }
    response.flushHeaders();
    response.on('drain', () => answer.resume());
    await readEventLines(answer, (event, line) => {
      if (!sandboxes.has(event) && !response.write(`${line}\n`)) answer.pause();
    });
  }

  /** Passes a request through, and a successful answer after a change. */
  async #changed(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
    change: (answer: unknown) => unknown,
  ): Promise<void> {
    const answer = await this.#open(request, response, target);
    const body = await bodyOf(answer, CHANGED_BYTES_LIMIT);
    if (body === undefined) {
      response.destroy();
      return;
    }
    response.end(answer.statusCode === 200 ? changedJson(body, change) : body);
  }

  /**
   * Sends a request without a body on to the engine; resolves with its answer, whose head is set already.
   * @throws ApiError TIMEOUT when the engine cannot be reached
   */
  async #open(
    request: IncomingMessage,
    response: ServerResponse,
    target: Target,
  ): Promise<IncomingMessage> {
    const to = await this.#target(target);
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const upstream = http.request(requestOptions(request, to), resolve);
      response.once('close', () => upstream.destroy());
      upstream.once('error', (error) =>
        reject(
          new ApiError('TIMEOUT', `${to.name} could not be reached: ${error.message}; try again`),
        ),
      );
      upstream.end();
    });
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    const { 'content-length': _, ...headers } = endToEndHeaders(answer.headers);
    response.writeHead(answer.statusCode ?? 502, headers);
    return answer;
  }

  /**
   * An engine older than us refuses the version that the client negotiated with us, so the path names the
   * newest version that both know.
   */
  async #target(target: Target): Promise<ProxyTarget & EngineTarget> {
    const minor = target.versioned ? Math.min(target.minor, await this.#newest(target.minor)) : 0;
    const query = target.query.toString();
    const prefix = target.versioned ? `/v1.${minor}` : '';
    return {
      socketPath: this.#socketPath,
      name: 'the Docker Engine of this node',
      path: `${prefix}${target.path}${query === '' ? '' : `?${query}`}`,
    };
  }

  async #newest(fallback: number): Promise<number> {
    const now = this.#clock.monotonicMs();
    if (this.#minor !== undefined && now - this.#minor.at < VERSION_KEPT_MS) {
      return this.#minor.value;
    }
    try {
      const { headers } = await this.#get('/_ping');
      const value = minorOf(String(headers['api-version']));
      if (!Number.isInteger(value)) return fallback;
      this.#minor = { value, at: now };
      return value;
    } catch {
      return fallback;
    }
  }

  #get(
    path: string,
    method: 'GET' | 'POST' = 'GET',
  ): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
    return new Promise((resolve, reject) => {
      const request = http.request({ socketPath: this.#socketPath, path, method }, (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.byteLength;
          if (size > ASK_BYTES_LIMIT) request.destroy(new Error('the answer is too large'));
          else chunks.push(chunk);
        });
        answer.once('end', () => {
          const body = Buffer.concat(chunks).toString();
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
        });
        answer.once('error', reject);
      });
      const timer = this.#clock.setTimeout(
        () => request.destroy(new Error('no answer in time')),
        ASK_TIMEOUT_MS,
      );
      request.once('error', reject);
      request.end();
      request.once('close', () => this.#clock.clearTimeout(timer));
    });
  }
}

/** Undefined when it is cut off, or larger than the limit. */
function bodyOf(answer: IncomingMessage, limitBytes: number): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    answer.on('data', (chunk: Buffer) => {
      size += chunk.byteLength;
      if (size > limitBytes) answer.destroy();
      else chunks.push(chunk);
    });
    answer.on('error', () => {});
    answer.once('close', () => resolve(answer.complete ? Buffer.concat(chunks) : undefined));
  });
}

/** What is not JSON is not changed. */
function changedJson(body: Buffer, change: (answer: unknown) => unknown): string | Buffer {
  try {
    return `${JSON.stringify(change(JSON.parse(body.toString())))}\n`;
  } catch (error) {
    if (error instanceof SyntaxError) return body;
    throw error;
  }
}
