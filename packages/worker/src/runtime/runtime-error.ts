/**
 * Why a runtime failed:
 * - `rejected`: this spec cannot run on this node; a retry is pointless
 * - `failed`: it should have worked
 * - `ended`: the task ended or became unhealthy while the caller waited for it
 * - `unknown-task`: the runtime does not have this task
 * - `aborted`: by the caller's signal
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

/** The message of any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno name of a Node system error: `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}
