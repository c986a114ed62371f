import { ApiError } from '../errors.js';
import type { Labels } from '../objects/common.js';

/** Most values of one filter. */
export const FILTER_VALUES_LIMIT = 1000;

/**
 * The `filters` parameter of a list. Several values of one key are alternatives, except labels, which must
 * all match; several keys must all match. A key that is not given matches everything.
 */
export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }

  /**
   * Reads `{"name":{"web":true}}`, or the form of clients before 1.22, `{"name":["web"]}`.
   * @throws ApiError BAD_REQUEST for anything else, and for a key that is not in `allowed`
   */
  static parse(given: string | null | undefined, allowed: readonly string[]): Filters {
    if (given === null || given === undefined || given === '') return new Filters(new Map());
    const parsed = parseJson(given);
    const values = new Map<string, readonly string[]>();
    for (const [key, inner] of Object.entries(parsed)) {
      if (!allowed.includes(key)) {
        throw new ApiError(
          'BAD_REQUEST',
          `invalid filter '${key}'` +
            (allowed.length > 0
              ? `: use ${allowed.filter((a) => !a.startsWith('_')).join(', ')}`
              : ''),
        );
      }
      values.set(key, readValues(key, inner));
    }
    return new Filters(values);
  }

  has(key: string): boolean {
    return this.values(key).length > 0;
  }

  values(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** Whether one of the values is the start of one of the candidates. */
  prefix(key: string, ...candidates: readonly (string | undefined)[]): boolean {
    const wanted = this.values(key);
    return (
      wanted.length === 0 ||
      wanted.some((value) => candidates.some((candidate) => candidate?.startsWith(value) === true))
    );
  }

  exact(key: string, ...candidates: readonly (string | undefined)[]): boolean {
    const wanted = this.values(key);
    return wanted.length === 0 || wanted.some((value) => candidates.includes(value));
  }

  contains(key: string, candidate: string): boolean {
    const wanted = this.values(key);
    return wanted.length === 0 || wanted.some((value) => candidate.includes(value));
  }

  /** Values are `key` or `key=value`; all must match. */
  labels(key: string, labels: Labels | undefined): boolean {
    return this.values(key).every((value) => {
      const equals = value.indexOf('=');
      const name = equals === -1 ? value : value.slice(0, equals);
      if (labels === undefined || !Object.hasOwn(labels, name)) return false;
      return equals === -1 || labels[name] === value.slice(equals + 1);
    });
  }

  /**
   * A boolean filter; undefined when not given.
   * @throws ApiError BAD_REQUEST
   */
  flag(key: string): boolean | undefined {
    const [value, second] = this.values(key);
    if (value === undefined) return undefined;
    if (second === undefined) {
      if (value === 'true' || value === '1') return true;
      if (value === 'false' || value === '0') return false;
    }
    throw new ApiError('BAD_REQUEST', `invalid filter '${key}=${value}': use true or false`);
  }

  /** @throws ApiError BAD_REQUEST when a value is not one of `allowed`. */
  requireOneOf(key: string, allowed: readonly string[]): this {
    for (const value of this.values(key)) {
      if (allowed.includes(value)) continue;
      throw new ApiError(
        'BAD_REQUEST',
        `invalid filter '${key}=${value}': use one of ${allowed.join(', ')}`,
      );
    }
    return this;
  }
}

function parseJson(given: string): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(given);
  } catch (error) {
    throw new ApiError('BAD_REQUEST', `invalid filters: ${(error as Error).message}`);
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw new ApiError(
    'BAD_REQUEST',
    'invalid filters: must be an object like {"name":{"web":true}}',
  );
}

function readValues(key: string, inner: unknown): readonly string[] {
  const values = Array.isArray(inner)
    ? inner
    : typeof inner === 'object' && inner !== null
      ? Object.keys(inner)
      : undefined;
  if (values === undefined || !values.every((value) => typeof value === 'string')) {
    throw new ApiError(
      'BAD_REQUEST',
      `invalid filters: "${key}" must be an object like {"VALUE":true}, or a list of strings`,
    );
  }
  if (values.length > FILTER_VALUES_LIMIT) {
    throw new ApiError(
      'BAD_REQUEST',
      `invalid filters: "${key}" has more than ${FILTER_VALUES_LIMIT} values`,
    );
  }
  return values;
}
