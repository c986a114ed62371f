import { existsSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { backoffMs, type Clock, pause, systemClock } from '@swarm/api';
import type { Agent } from 'undici';
import { errnoOf, messageOf, RuntimeError } from '../runtime-error.js';
import { EngineError, isConnectionLost } from './engine-error.js';
import {
  ANSWER_LIMIT_BYTES,
  ANSWER_LIMIT_MS,
  API_MAX,
  API_MIN,
  PING_LIMIT_MS,
  RETRY_MS,
  UNREACHABLE_LIMIT_MS,
} from './limits.js';

export interface EngineClientOptions {
  readonly socketPath: string;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

export interface EngineRequest {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON, or as it is if it is bytes (a tar archive). */
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/**
 * Talks to a Docker Engine (or Podman) over its unix socket. While the engine cannot be reached, retries for
 * {@link UNREACHABLE_LIMIT_MS}: an engine that restarts is not a failure of a task. So callers only send
 * requests that may arrive twice.
 */
export class EngineClient {
  readonly #options: EngineClientOptions;
  #closed = false;
  #agent: Promise<Agent> | undefined;
  #version: Promise<string> | undefined;

  constructor(options: EngineClientOptions) {
    this.#options = options;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The response's JSON; undefined if it has no body.
   * @throws EngineError the engine's refusal; RuntimeError `failed` when it cannot be reached, `aborted` by
   *   the signal or by `close`
   */
  async json<T>(method: string, path: string, request: EngineRequest = {}): Promise<T> {
    return this.#retried(request.signal, async () => {
      const body = await this.#open(method, path, request, ANSWER_LIMIT_MS);
      const text = await textOf(body);
      return (text === '' ? undefined : JSON.parse(text)) as T;
    });
  }

  /** The response's body as a stream, for as long as it takes. A caller that stops early destroys it. */
  async stream(method: string, path: string, request: EngineRequest = {}): Promise<Readable> {
    return this.#retried(request.signal, () => this.#open(method, path, request, 0));
  }

  /** Like {@link stream}, but fails at once if the engine cannot be reached. */
  streamOnce(method: string, path: string, request: EngineRequest = {}): Promise<Readable> {
    return this.#open(method, path, request, 0);
  }

  /**
   * The Engine API version in use: the engine's own, at most {@link API_MAX}.
   * @throws RuntimeError `failed` when the engine is too old
   */
  version(): Promise<string> {
    return this.#retried(undefined, () => this.versionOnce());
  }

  /** Like {@link version}, but fails at once if the engine cannot be reached. */
  versionOnce(): Promise<string> {
    this.#version ??= this.#negotiate().catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  /** Forgets the version: a restarted engine may have another one. */
  forget(): void {
    this.#version = undefined;
  }

  /** Aborts all requests and sends no more. */
  async close(): Promise<void> {
    this.#closed = true;
    const agent = await this.#agent;
    await agent?.destroy();
  }

  async #open(
    method: string,
    path: string,
    request: EngineRequest,
    headersTimeout: number,
  ): Promise<Readable> {
    return this.#send(method, `/v${await this.versionOnce()}${path}`, request, headersTimeout).then(
      ({ body }) => body,
    );
  }

  async #negotiate(): Promise<string> {
    const { body, headers } = await this.#send('GET', '/_ping', {}, PING_LIMIT_MS);
    await textOf(body);
    const theirs = String(headers['api-version'] ?? '');
    if (!/^\d+\.\d+$/.test(theirs) || compareVersions(theirs, API_MIN) < 0) {
      throw new RuntimeError(
        'failed',
        `The engine at ${this.#options.socketPath} speaks Engine API ${theirs || 'of no version'}, at least ${API_MIN} is needed: use Docker 20.10 or newer, or --runtime process.`,
      );
    }
    return compareVersions(theirs, API_MAX) < 0 ? theirs : API_MAX;
  }

  async #send(method: string, path: string, request: EngineRequest, headersTimeout: number) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const bytes = request.body instanceof Uint8Array;
    const agent = await this.#dispatcher();
    const response = await agent.request({
      origin: 'http://engine',
      method: method as 'GET',
      path: query.size === 0 ? path : `${path}?${query.toString()}`,
      headersTimeout,
      bodyTimeout: 0,
      ...(request.signal === undefined ? {} : { signal: request.signal }),
      headers: {
        ...(request.body === undefined
          ? {}
          : { 'content-type': bytes ? 'application/x-tar' : 'application/json' }),
        ...request.headers,
      },
      ...(request.body === undefined
        ? {}
        : { body: bytes ? (request.body as Uint8Array) : JSON.stringify(request.body) }),
    });
    if (response.statusCode >= 400) {
      throw new EngineError(response.statusCode, errorMessage(await textOf(response.body)));
    }
    return response;
  }

  /** Loads undici with the first request: a node without an engine never needs it. */
  #dispatcher(): Promise<Agent> {
    if (this.#closed) throw new RuntimeError('aborted', 'The daemon is stopping.');
    this.#agent ??= import('undici').then(
      ({ Agent }) =>
        new Agent({ connect: { socketPath: this.#options.socketPath }, keepAliveTimeout: 10_000 }),
    );
    return this.#agent;
  }

  async #retried<T>(signal: AbortSignal | undefined, send: () => Promise<T>): Promise<T> {
    const { clock, random, socketPath } = this.#options;
    const startMs = clock.monotonicMs();
    for (let failures = 1; ; failures += 1) {
      let failure: unknown;
      try {
        return await send();
      } catch (error) {
        failure = error;
      }
      if (this.closed || signal?.aborted === true) {
        throw new RuntimeError('aborted', 'The request to the engine is no longer wanted.');
      }
      if (errnoOf(failure) === 'EACCES') {
        throw new RuntimeError(
          'failed',
          `The engine's socket ${socketPath} cannot be opened: run the daemon as root or as a member of the socket's group.`,
          { cause: failure },
        );
      }
      if (!isConnectionLost(failure)) throw failure;
      if (clock.monotonicMs() - startMs > UNREACHABLE_LIMIT_MS) {
        throw new RuntimeError(
          'failed',
          `The engine at ${socketPath} cannot be reached (${messageOf(failure)}): check that it runs.`,
          { cause: failure },
        );
      }
      this.forget();
      await pause(clock, backoffMs(failures, RETRY_MS, random));
    }
  }
}

/** Whether a recent enough Docker Engine answers at this socket; false within seconds. */
export async function engineAnswers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false;
  const client = new EngineClient({ socketPath, clock: systemClock(), random: Math.random });
  try {
    await client.versionOnce();
    return true;
  } catch {
    return false;
  } finally {
    await client.close();
  }
}

/** Negative if `a` is older: `1.9` before `1.41`. */
export function compareVersions(a: string, b: string): number {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number);
  const [majorB = 0, minorB = 0] = b.split('.').map(Number);
  return majorA - majorB || minorA - minorB;
}

async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > ANSWER_LIMIT_BYTES) {
      throw new RuntimeError(
        'failed',
        `The engine's answer is longer than ${ANSWER_LIMIT_BYTES} bytes.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function errorMessage(text: string): string {
  try {
    const body = JSON.parse(text) as { message?: unknown; cause?: unknown };
    if (typeof body.message === 'string') return body.message;
  } catch {
    // Not JSON, perhaps from a proxy in between. Its text is all we have.
  }
  return text.trim() === '' ? 'the engine gave no reason' : text.trim();
}
