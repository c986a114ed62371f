import { ApiError } from '../errors.js';
import {
  ITEMS_LIMIT,
  JSON_DEPTH_LIMIT,
  jsonObject,
  ShapeError,
  TEXT_LIMIT,
  typeName,
} from '../wire/shape.js';

/**
 * Reads one value of a decoded JSON body. `undefined` stands for "not given", as JSON null does: Go's
 * decoder, which Docker's clients are written for, leaves a field at its zero value on null.
 * @throws ApiError BAD_REQUEST on a wrong type, INVALID_ARGUMENT on a value out of range, UNIMPLEMENTED on
 *   what Docker has and swarm does not. The message starts with the path of the field.
 */
export interface Field<T> {
  read(value: unknown, path: string): T | undefined;
}

export type Decoded<F> = F extends Field<infer T> ? T : never;
export type Shape = Readonly<Record<string, Field<unknown>>>;
export type DecodedShape<S extends Shape> = { readonly [K in keyof S]?: Decoded<S[K]> };

/** Deepest nesting that is looked at, so that no body can exhaust the stack. */
export const BODY_DEPTH_LIMIT = JSON_DEPTH_LIMIT;

function where(path: string): string {
  return path === '' ? 'the body' : path;
}

function wrongType(path: string, wanted: string, value: unknown): ApiError {
  return new ApiError('BAD_REQUEST', `${where(path)}: must be ${wanted}, not ${typeName(value)}`);
}

/** The store would return this key under another name, and assigning it sets an object's prototype. */
function protoKey(path: string): ApiError {
  return new ApiError('INVALID_ARGUMENT', `${path}: must not have a key "__proto__"; rename it`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether a value asks for nothing: Go's zero values, and lists and objects of nothing else. */
export function isZero(value: unknown, depth = 0): boolean {
  if (value === undefined || value === null || value === false || value === 0 || value === '') {
    return true;
  }
  if (depth > BODY_DEPTH_LIMIT) return false;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.values(value).every((inner) => isZero(inner, depth + 1));
}

/** A string; `max` in UTF-16 units. */
export function text(options: { max?: number } = {}): Field<string> {
  const { max = TEXT_LIMIT } = options;
  return {
    read(value, path) {
      if (typeof value !== 'string') throw wrongType(path, 'a string', value);
      if (value.length > max) {
        throw new ApiError('INVALID_ARGUMENT', `${path}: must have at most ${max} characters`);
      }
      if (value.includes('\0')) {
        throw new ApiError('INVALID_ARGUMENT', `${path}: must not contain a zero byte`);
      }
      return value;
    },
  };
}

/** One of the given strings. The empty string counts as not given, as in Docker's API. */
export function choice<const T extends string>(...allowed: readonly T[]): Field<T> {
  return {
    read(value, path) {
      if (typeof value !== 'string') throw wrongType(path, 'a string', value);
      if (value === '') return undefined;
      const found = allowed.find((one) => one === value);
      if (found !== undefined) return found;
      throw new ApiError(
        'INVALID_ARGUMENT',
        `${path}: "${value}" is unknown; use one of ${allowed.join(', ')}`,
      );
    },
  };
}

export function flag(): Field<boolean> {
  return {
    read(value, path) {
      if (typeof value !== 'boolean') throw wrongType(path, 'true or false', value);
      return value;
    },
  };
}

function numberIn(
  value: unknown,
  path: string,
  wanted: string,
  range: { min: number; max: number },
): number {
  if (typeof value !== 'number') throw wrongType(path, wanted, value);
  if (value < range.min || value > range.max) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `${path}: ${value} is out of range; it must be between ${range.min} and ${range.max}`,
    );
  }
  return value;
}

/** A whole number that is exact in JavaScript. */
export function integer(range: { min?: number; max?: number } = {}): Field<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
  return {
    read(value, path) {
      const found = numberIn(value, path, 'a whole number', { min, max });
      if (!Number.isInteger(found)) {
        throw new ApiError('BAD_REQUEST', `${path}: must be a whole number, not ${found}`);
      }
      return found;
    },
  };
}

/** A number, whole or not. The object's rules check its range later. */
export function decimal(): Field<number> {
  return {
    read: (value, path) => numberIn(value, path, 'a number', { min: -1e300, max: 1e300 }),
  };
}

/** Nanoseconds as Go's time.Duration: signed 64 bits. Beyond 104 days rounded to a double. */
export function duration(): Field<number> {
  return integer({ min: -(2 ** 63), max: 2 ** 63 });
}

export function list<T>(item: Field<T>, options: { max?: number } = {}): Field<readonly T[]> {
  const { max = ITEMS_LIMIT } = options;
  return {
    read(value, path) {
      if (!Array.isArray(value)) throw wrongType(path, 'a list', value);
      if (value.length > max) {
        throw new ApiError('INVALID_ARGUMENT', `${path}: must have at most ${max} elements`);
      }
      return value.map((one, index) => {
        const at = `${path}[${index}]`;
        const read = one === null ? undefined : item.read(one, at);
        if (read === undefined) throw new ApiError('BAD_REQUEST', `${at}: must not be null`);
        return read;
      });
    },
  };
}

/** An object with free keys. */
export function map<T>(item: Field<T>): Field<Record<string, T>> {
  return {
    read(value, path) {
      if (!isObject(value)) throw wrongType(path, 'an object', value);
      const entries = Object.entries(value);
      if (entries.length > ITEMS_LIMIT) {
        throw new ApiError('INVALID_ARGUMENT', `${path}: must have at most ${ITEMS_LIMIT} keys`);
      }
      if (Object.hasOwn(value, '__proto__')) throw protoKey(path);
      return Object.fromEntries(
        entries.flatMap(([key, inner]) => {
          const read = inner === null ? undefined : item.read(inner, `${path}["${key}"]`);
          return read === undefined ? [] : [[key, read] as const];
        }),
      );
    },
  };
}

/** A bounded JSON object kept as it is, for parts that only the worker understands. */
export function anything(): Field<object> {
  return {
    read(value, path) {
      if (!isObject(value)) throw wrongType(path, 'an object', value);
      try {
        return jsonObject.read(value);
      } catch (error) {
        if (!(error instanceof ShapeError)) throw error;
        const at = error.path.startsWith('[') ? `${path}${error.path}` : `${path}.${error.path}`;
        throw new ApiError('INVALID_ARGUMENT', `${at}: ${error.problem}`);
      }
    },
  };
}

/** A field of Docker's that is not served: refused when it asks for something. */
export function unserved(what: string): Field<never> {
  return {
    read(value, path) {
      if (isZero(value)) return undefined;
      throw new ApiError('UNIMPLEMENTED', `${path}: ${what}`);
    },
  };
}

/**
 * An object with known fields. Without an exact match, keys match regardless of case (Go's rule). Refuses
 * an unknown field unless it has a zero value: no option is dropped silently.
 */
export function object<const S extends Shape>(shape: S): Field<DecodedShape<S>> {
  const byLowerCase = new Map(Object.keys(shape).map((key) => [key.toLowerCase(), key]));
  return {
    read(value, path) {
      if (!isObject(value)) throw wrongType(path, 'an object', value);
      const found = new Map<string, unknown>();
      for (const [key, inner] of Object.entries(value)) {
        const at = path === '' ? key : `${path}.${key}`;
        const known = Object.hasOwn(shape, key) ? key : byLowerCase.get(key.toLowerCase());
        if (known === undefined) {
          if (isZero(inner)) continue;
          throw new ApiError(
            'INVALID_ARGUMENT',
            `${at}: no such field; remove it or correct its name`,
          );
        }
        if (known !== key && Object.hasOwn(value, known)) continue;
        if (inner === null) continue;
        const read = (shape[known] as Field<unknown>).read(inner, at);
        if (read !== undefined) found.set(known, read);
      }
      return Object.fromEntries(found) as DecodedShape<S>;
    },
  };
}
