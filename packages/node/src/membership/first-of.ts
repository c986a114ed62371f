import { ApiError } from '@swarm/api';

/** Answers that every other manager would give too. */
const FINAL: readonly string[] = ['INVALID_TOKEN', 'INVALID_ARGUMENT', 'PERMISSION_DENIED'];

/**
 * Asks one manager after the other and returns the first success. Throws the error of the last when all
 * fail.
 * @param signal when aborted, asks no further manager
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
