/**
 * Why a runtime could not do it:
 * - `rejected`: this spec can not run on this node, trying again is of no use
 * - `failed`: it should have worked
 * - `ended`: the task ended or got unhealthy while it was awaited
 * - `unknown-task`: the runtime has nothing of this task
 * - `aborted`: the caller's signal
 */
export type RuntimeErrorReason = 'rejected' | 'failed' | 'ended' | 'unknown-task' | 'aborted';

/** An error of a runtime; the message is a sentence for the user and says what to do. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError';
  readonly reason: RuntimeErrorReason;

  constructor(reason: RuntimeErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno name of a Node system error: `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}
