import type { IncomingMessage } from 'node:http';
import { backoffMs } from '@swarm/api/client';
import { type ApiClient, DaemonError, type Query } from './api-client.js';
import { NotALogError } from './log-frames.js';

/** How long to try again after a log broke off, and how often: the pause doubles from the first to the second. */
const RETRY_LIMIT_MS = 60_000;
const RETRY_MS = { minMs: 100, maxMs: 2_000 };
/** A shorter break is not mentioned. */
const MENTION_MS = 1_000;

export interface LogFollowerOptions<T> {
  /** Where to connect, in this order: the daemon that was named, then other managers. */
  readonly clients: () => Promise<readonly ApiClient[]>;
  readonly path: string;
  readonly query: Query;
  /**
   * The query that goes on with the log after a break.
   * @param begun the daemon's time when the log began, RFC 3339
   */
  readonly resume: (begun: string) => Query;
  /** Takes a reply apart. Throws when it ends early. */
  readonly decode: (response: IncomingMessage) => AsyncIterable<T>;
  readonly follow: boolean;
  /** Tells the user about a break. */
  readonly mention: (message: string) => void;
  readonly time: {
    /** Milliseconds that never go back. */
    readonly now: () => number;
    readonly pause: (ms: number) => Promise<unknown>;
  };
}

/**
 * Reads a log. One that is followed goes on after its connection broke, with the same daemon or another
 * manager, and ends when what it is about is gone.
 * @throws DaemonError what the daemon refused; Error when the log broke off and no daemon goes on with it
 */
export async function* followLog<T>(options: LogFollowerOptions<T>): AsyncGenerator<T> {
  const { follow, path, query, resume, decode, time, mention } = options;
  const targets = await options.clients();
  let begun: string | undefined;
  let lostMs = time.now();
  let isMentioned = false;
  let failures = 0;
  for (let attempt = 0; ; attempt += 1) {
    const client = targets[attempt % targets.length]!;
    try {
      const response = await client.stream(path, begun === undefined ? query : resume(begun));
      begun ??= startOf(response);
      isMentioned = false;
      failures = 0;
      try {
        yield* decode(response);
        return;
      } finally {
        lostMs = time.now();
        response.destroy();
      }
    } catch (error) {
      if (!follow || begun === undefined) throw error;
      if (error instanceof DaemonError && error.status === 404) return;
      const goneMs = time.now() - lostMs;
      if (!isBreak(error) || goneMs >= RETRY_LIMIT_MS) throw error;
      if (goneMs >= MENTION_MS && !isMentioned) {
        isMentioned = true;
        mention(`the log broke off (${(error as Error).message}): connecting again`);
      }
    }
    failures += 1;
    await time.pause(backoffMs(failures, RETRY_MS));
  }
}

function startOf({ headers }: IncomingMessage): string {
  const date = Date.parse(headers.date ?? '');
  return new Date(Number.isNaN(date) ? Date.now() : date).toISOString();
}

/** Whether another attempt may go better: the daemon or its leader is gone, for now. */
function isBreak(error: unknown): boolean {
  if (error instanceof NotALogError) return false;
  if (error instanceof DaemonError) return error.status === 503 || error.status === 502;
  return error instanceof Error && error.name !== 'AbortError';
}
