import { ApiError } from '@swarm/api';

/** A boolean parameter as Docker reads it: absent, empty, `0`, `no`, `false` and `none` are false. */
export function flagOf(query: URLSearchParams, name: string): boolean {
  const value = (query.get(name) ?? '').trim().toLowerCase();
  return !['', '0', 'no', 'false', 'none'].includes(value);
}

/**
 * A point in time: seconds since the epoch with up to nine decimals, or RFC 3339. Undefined when absent or 0.
 * @returns milliseconds since the epoch
 * @throws ApiError BAD_REQUEST
 */
export function momentOf(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === '' || value === '0') return undefined;
  const isSeconds = /^\d{1,12}(\.\d{1,9})?$/.test(value);
  // Rounded to microseconds: a whole millisecond must not come out a little below itself.
  const moment = isSeconds ? Math.round(Number(value) * 1e6) / 1000 : Date.parse(value);
  if (Number.isFinite(moment)) return moment;
  throw new ApiError(
    'BAD_REQUEST',
    `${name}: "${value}" is not a time; give seconds since 1970, or 2026-01-31T12:00:00Z`,
  );
}
