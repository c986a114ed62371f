import { errnoOf } from '../runtime-error.js';

/** The engine's answer to a request that it did not carry out. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  /** HTTP status: 400 bad request, 404 not found, 409 conflict, 5xx failure of the engine. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Whether the engine answered with one of these statuses. */
export function hasStatus(error: unknown, ...statuses: readonly number[]): error is EngineError {
  return error instanceof EngineError && statuses.includes(error.status);
}

const CONNECTION_LOST = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOENT',
  'ENOTCONN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether the engine went away during a request, or was not there: a retry may help. */
export function isConnectionLost(error: unknown): boolean {
  if (CONNECTION_LOST.has(errnoOf(error) ?? '')) return true;
  return error instanceof Error && error.cause !== undefined && isConnectionLost(error.cause);
}
