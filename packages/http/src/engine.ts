import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '@swarm/api';
import { minorOf, type Target } from './target.js';
import { hijackTo } from './hijack.js';
import { type ProxyTarget, proxyTo } from './proxy.js';

const ASK_TIMEOUT_MS = 2000;
const ASK_BYTES_LIMIT = 4 * 1024 * 1024;
const VERSION_KEPT_MS = 60_000;

/** The node's Docker Engine, behind our socket. */
export class Engine {
  readonly #socketPath: string;
  readonly #clock: Clock;
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
  async ask(path: string): Promise<unknown> {
    try {
      const { status, body } = await this.#get(path);
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

  /**
   * An engine older than us refuses the version that the client negotiated with us, so the path names the
   * newest version that both know.
   */
  async #target(target: Target): Promise<ProxyTarget> {
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
  ): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
    return new Promise((resolve, reject) => {
      const request = http.get({ socketPath: this.#socketPath, path }, (answer) => {
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
      request.once('close', () => this.#clock.clearTimeout(timer));
    });
  }
}
