import { ApiError } from '@swarm/api';

/** What one manager answers so, every other would. */
const FINAL: readonly string[] = ['INVALID_TOKEN', 'INVALID_ARGUMENT', 'PERMISSION_DENIED'];

/**
 * The first success, asking one manager after the other; the error of the last when all fail.
 * @param signal no further one is asked
 */
export async function firstOf<T>(
  addresses: readonly string[],
  attempt: (address: string) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  let last: unknown = new ApiError('INVALID_ARGUMENT', 'no manager to ask is known');
  for (const address of addresses) {
    try {
      return await attempt(address);
    } catch (error) {
      last = error;
      if (error instanceof ApiError && FINAL.includes(error.code)) throw error;
      if (signal?.aborted === true) throw error;
    }
  }
  throw last;
}
