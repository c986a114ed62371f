import { randomUUID } from 'node:crypto';
import { backoffMs, formatIdempotencyKey, IDEMPOTENCY_KEY_HEADER } from '@swarm/api/client';
import {
  type ApiClient,
  DaemonError,
  DaemonUnreachableError,
  ReplyLostError,
} from './api-client.js';

/** How long to try again after the first lost answer, and how often: the pause doubles up to the second. */
const RETRY_LIMIT_MS = 30_000;
const RETRY_MS = { minMs: 100, maxMs: 2_000 };
/** A shorter wait is not mentioned. */
const MENTION_MS = 1_000;
/** Errors of a manager that did nothing: another one may. */
const ASK_ANOTHER: readonly string[] = ['NO_QUORUM', 'NOT_IN_SWARM', 'OVERLOADED'];

export interface Creating {
  /** Where to send it, in this order: the daemon that was named, then other managers. */
  readonly clients: readonly ApiClient[];
  readonly path: string;
  readonly body: { readonly Name?: string };
  readonly headers: Record<string, string>;
  /** Tells the user what it waits for. */
  readonly mention: (message: string) => void;
  readonly time: {
    /** Milliseconds that never go back. */
    readonly now: () => number;
    readonly pause: (ms: number) => Promise<unknown>;
  };
}

/**
 * Creates an object. Sends the request again with the same key when the answer is lost, so that the object is
 * made once and the answer of the first attempt arrives.
 * @throws DaemonError what the daemon refused; Error that the object may exist
 */
export async function create<T>(creating: Creating): Promise<T> {
  const { clients, path, body, time, mention } = creating;
  const key = formatIdempotencyKey(randomUUID());
  const headers = { ...creating.headers, [IDEMPOTENCY_KEY_HEADER]: key };
  let lost: Error | undefined;
  let lostMs = 0;
  let isMentioned = false;
  for (let attempt = 0; ; attempt += 1) {
    const client = clients[attempt % clients.length]!;
    try {
      if (lost !== undefined && (body.Name ?? '') === '' && !(await storesKeys(client))) break;
      return await client.post<T>(path, {}, body, headers);
    } catch (error) {
      const isLost = mayBeDone(error);
      const isElsewhere = lost !== undefined || attempt + 1 < clients.length;
      if (!isLost && !(isElsewhere && isDown(error)))
        throw lost === undefined ? error : later(error);
      if (isLost && lost === undefined) lostMs = time.now();
      if (isLost) lost = error as Error;
    }
    const goneMs = lost === undefined ? 0 : time.now() - lostMs;
    if (goneMs >= RETRY_LIMIT_MS) break;
    if (goneMs >= MENTION_MS && !isMentioned) {
      isMentioned = true;
      mention(`the answer was lost (${lost?.message}): trying again with the same key`);
    }
    await time.pause(backoffMs(attempt + 1, RETRY_MS));
  }
  throw lost;
}

/** Whether the daemon may have done it. */
function mayBeDone(error: unknown): boolean {
  return (
    error instanceof ReplyLostError || (error instanceof DaemonError && error.code === 'TIMEOUT')
  );
}

/** Whether the daemon certainly did nothing, and the next attempt may go better. */
function isDown(error: unknown): boolean {
  if (error instanceof DaemonUnreachableError) return true;
  return error instanceof DaemonError && ASK_ANOTHER.includes(error.code ?? '');
}

/**
 * Whether what answers stores keys. Docker's own engine does not: there only a name keeps a second attempt from
 * making a second object.
 */
async function storesKeys(client: ApiClient): Promise<boolean> {
  type Info = { readonly Swarm?: { readonly FeatureLevel?: { readonly Current: number } } };
  try {
    const { Swarm } = await client.get<Info>('/info');
    return Swarm?.FeatureLevel !== undefined;
  } catch (error) {
    if (isDown(error)) throw error;
    return false;
  }
}

/**
 * Of an attempt after the first. Where keys are not stored it meets the name that the first one took; and when
 * it does not get through, nothing says what became of the first one.
 */
function later(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  if (error instanceof DaemonError && error.code !== 'CONFLICT') return error;
  const message = `${error.message}; the first attempt, whose answer was lost, may have made it: look before you try again`;
  return error instanceof DaemonError
    ? new DaemonError(error.status, message, error.code)
    : new Error(message, { cause: error });
}
