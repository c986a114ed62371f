import { ApiError } from '../errors.js';

/**
 * Reads the `version` parameter of an update: the Version.Index that the client last read.
 * @throws ApiError BAD_REQUEST
 */
export function parseObjectVersion(given: string | null, kind: string): number {
  const version = given !== null && /^\d{1,16}$/.test(given) ? Number(given) : Number.NaN;
  if (Number.isSafeInteger(version)) return version;
  throw new ApiError(
    'BAD_REQUEST',
    `invalid ${kind} version '${given ?? ''}': give the Version.Index of the ${kind} as last read`,
  );
}
