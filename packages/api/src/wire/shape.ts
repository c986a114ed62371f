import {
  type IpAddress,
  isPort,
  parseCidr,
  parseHostPort,
  parseIpAddress,
} from '../values/address.js';
import type { ExactlyOne } from '../objects/common.js';
import { cutText, isObjectId, isTimestamp } from '../values/text.js';

/**
 * Reads one untrusted value, decoded from MessagePack or JSON, into a new one of the type. Returns plain
 * data that JSON and MessagePack carry unchanged: no BigInt, no bytes unless the shape says so, only finite
 * numbers, and no reference into what was read.
 */
export interface Shape<T> {
  /** @throws ShapeError */
  readonly read: (value: unknown) => T;
}

/** A field that may be absent. Null counts as absent: the encoders write undefined as null. */
export interface OptionalShape<T> {
  readonly optional: Shape<T>;
}

/** Shapes of all fields of an object type, optional exactly where the type is. */
export type FieldShapes<T extends object> = {
  readonly [K in keyof T]-?: Record<string, never> extends Pick<T, K>
    ? OptionalShape<Exclude<T[K], undefined>>
    : Shape<T[K]>;
};

/** The shape of an object, with the shapes of its fields for reading them one by one. */
export interface RecordShape<T extends object> extends Shape<T> {
  readonly fields: FieldShapes<T>;
}

/** A value that does not fit its shape. `path` says where: `updates[3].status.Timestamp`. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
  readonly path: string;
  /** What is wrong there, as the rest of a sentence: `must be a string, not a number`. */
  readonly problem: string;

  constructor(path: string, problem: string) {
    super(path === '' ? problem : `${path}: ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}

/** Most characters of one text of an object. */
export const TEXT_LIMIT = 1 << 20;
/** Most elements of one list and entries of one map of an object. */
export const ITEMS_LIMIT = 10_000;
/** Deepest nesting of a part that is kept unread. */
export const JSON_DEPTH_LIMIT = 32;
/** Most values in a part that is kept unread, nested ones included. */
export const JSON_VALUES_LIMIT = 10_000;
/** Most characters of a key that an error shows. */
const KEY_SHOWN_LIMIT = 64;

/** What kind of value it is, for an error: `a list`, `a number`. */
export function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value === null) return 'null';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}

function wrongType(wanted: string, value: unknown): ShapeError {
  return new ShapeError('', `must be ${wanted}, not ${typeName(value)}`);
}

/** The same error, with the path from the object that holds the field. */
function inField(error: unknown, key: string): unknown {
  if (!(error instanceof ShapeError)) return error;
  const inner = error.path === '' || error.path.startsWith('[') ? error.path : `.${error.path}`;
  return new ShapeError(`${key}${inner}`, error.problem);
}

function inItem(error: unknown, index: number | string): unknown {
  return inField(error, `[${index}]`);
}

function shownKey(key: string): string {
  return JSON.stringify(key.slice(0, KEY_SHOWN_LIMIT));
}

type Fields = Readonly<Record<string, unknown>>;

/** Whether the value is a plain object: not a list, bytes, a date or another class. */
export function isFields(value: unknown): value is Fields {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value) as unknown;
  return prototype === Object.prototype || prototype === null;
}

/** Makes a shape from a function that returns undefined for what does not fit. */
function parsed<T>(wanted: string, parse: (value: unknown) => T | undefined): Shape<T> {
  return {
    read(value) {
      const found = parse(value);
      if (found === undefined) throw new ShapeError('', `must be ${wanted}`);
      return found;
    },
  };
}

export function optional<T>(shape: Shape<T>): OptionalShape<T> {
  return { optional: shape };
}

/**
 * A text of at most `max` UTF-16 units. A surrogate without its other half becomes U+FFFD, as it would in
 * UTF-8.
 */
export function text(max = TEXT_LIMIT): Shape<string> {
  return {
    read(value) {
      if (typeof value !== 'string') throw wrongType('a string', value);
      if (value.length > max) throw new ShapeError('', `must have at most ${max} characters`);
      return value.toWellFormed();
    },
  };
}

/** A text, cut to at most `maxBytes` in UTF-8. */
export function cut(maxBytes: number): Shape<string> {
  return {
    read(value) {
      if (typeof value !== 'string') throw wrongType('a string', value);
      return cutText(value.toWellFormed(), maxBytes);
    },
  };
}

/** One of the values of a type; all of them must be listed: `choice<NodeRole>({ worker: true, … })`. */
export function choice<T extends string>(values: Readonly<Record<T, true>>): Shape<T> {
  const known = new Map(Object.keys(values).map((value) => [value as unknown, value as T]));
  const wanted = `one of ${Object.keys(values).join(', ')}`;
  return parsed(wanted, (value) => known.get(value));
}

/** This one value. */
export function literal<const T extends string>(wanted: T): Shape<T> {
  return parsed(JSON.stringify(wanted), (value) => (value === wanted ? wanted : undefined));
}

export const flag: Shape<boolean> = {
  read(value) {
    if (typeof value !== 'boolean') throw wrongType('true or false', value);
    return value;
  },
};

function numberIn(value: unknown, wanted: string, min: number, max: number): number {
  if (typeof value !== 'number') throw wrongType(wanted, value);
  if (!(value >= min && value <= max)) {
    throw new ShapeError('', `must be ${wanted} between ${min} and ${max}, not ${value}`);
  }
  // JSON has no negative zero.
  return value === 0 ? 0 : value;
}

/** A whole number that is exact in JavaScript. */
export function integer(min = 0, max = Number.MAX_SAFE_INTEGER): Shape<number> {
  return {
    read(value) {
      const found = numberIn(value, 'a whole number', min, max);
      if (!Number.isInteger(found))
        throw new ShapeError('', `must be a whole number, not ${found}`);
      return found;
    },
  };
}

/** A count or a size from 0. */
export const count: Shape<number> = integer();
/** A whole number with a sign. */
export const signed: Shape<number> = integer(Number.MIN_SAFE_INTEGER);
/** Nanoseconds as Go's time.Duration: 64 bits with a sign, rounded to a double beyond 104 days. */
export const duration: Shape<number> = integer(-(2 ** 63), 2 ** 63);

/** A finite number. */
export function decimal(min = -1e300, max = 1e300): Shape<number> {
  return { read: (value) => numberIn(value, 'a number', min, max) };
}

export const objectId: Shape<string> = parsed('the id of an object', (value) =>
  isObjectId(value) ? value : undefined,
);
/** The id of an object, or empty for none. */
export const maybeObjectId: Shape<string> = parsed('the id of an object or empty', (value) =>
  value === '' || isObjectId(value) ? value : undefined,
);
export const timestamp: Shape<string> = parsed('a time of RFC 3339', (value) =>
  isTimestamp(value) ? value : undefined,
);
/** An IPv4 or IPv6 address, in its canonical spelling. */
export const ipAddress: Shape<IpAddress> = parsed('an IP address', parseIpAddress);
/** An IP address, or empty while it is unknown. */
export const maybeIpAddress: Shape<string> = parsed('an IP address or empty', (value) =>
  value === '' ? value : parseIpAddress(value),
);
/** An address with prefix length, `10.240.3.0/24`, in its canonical spelling. */
export const cidr: Shape<string> = parsed('an address with prefix length', (value) => {
  const found = parseCidr(value);
  return found === undefined ? undefined : `${found.address}/${found.prefixLength}`;
});
/** `host:port` of a node, as it was written. */
export const hostPort: Shape<string> = parsed('host:port', (value) =>
  parseHostPort(value) === undefined ? undefined : (value as string),
);
/** A TCP or UDP port, 1 to 65535. */
export const port: Shape<number> = parsed('a port between 1 and 65535', (value) =>
  isPort(value) ? value : undefined,
);

/** Bytes, at most `max`. A view of the frame, not a copy. */
export function bytes(max: number): Shape<Uint8Array> {
  return {
    read(value) {
      if (!(value instanceof Uint8Array)) throw wrongType('bytes', value);
      if (value.byteLength > max) throw new ShapeError('', `must have at most ${max} bytes`);
      return value;
    },
  };
}

/** A list of at most `max` elements. */
export function list<T>(item: Shape<T>, max = ITEMS_LIMIT): Shape<readonly T[]> {
  return {
    read(value) {
      const source = elements(value, max);
      const result: T[] = [];
      let index = 0;
      try {
        for (; index < source.length; index += 1) result.push(item.read(source[index]));
      } catch (error) {
        throw inItem(error, index);
      }
      return result;
    },
  };
}

/** What the shape reads; undefined when the value does not fit. */
export function tryRead<T>(shape: Shape<T>, value: unknown): T | undefined {
  try {
    return shape.read(value);
  } catch (error) {
    if (error instanceof ShapeError) return undefined;
    throw error;
  }
}

/** An element of a list that does not fit its shape. */
export interface BadItem {
  /** The element as received, entirely unchecked. */
  readonly value: unknown;
  readonly error: ShapeError;
}

/**
 * Reads a list and sets its bad elements aside.
 * @param bad called with each of them
 */
export function readEach<T>(
  item: Shape<T>,
  value: unknown,
  max: number,
  bad: (item: BadItem) => void,
): T[] {
  const result: T[] = [];
  elements(value, max).forEach((one, index) => {
    try {
      result.push(item.read(one));
    } catch (error) {
      const placed = inItem(error, index);
      if (!(placed instanceof ShapeError)) throw placed;
      bad({ value: one, error: placed });
    }
  });
  return result;
}

function elements(value: unknown, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw wrongType('a list', value);
  if (value.length > max) throw new ShapeError('', `must have at most ${max} elements`);
  return value as readonly unknown[];
}

export interface MapOptions {
  /** Most entries. */
  readonly max?: number;
  readonly key?: Shape<string>;
}

/** An object with free keys. Entries that are null are left out. */
export function map<T>(item: Shape<T>, options: MapOptions = {}): Shape<Record<string, T>> {
  const { max = ITEMS_LIMIT, key = text() } = options;
  return {
    read(value) {
      if (!isFields(value)) throw wrongType('an object', value);
      const result: Record<string, T> = {};
      let entries = 0;
      for (const name in value) {
        if (!Object.hasOwn(value, name)) continue;
        entries += 1;
        if (entries > max) throw new ShapeError('', `must have at most ${max} entries`);
        const inner = value[name];
        if (inner === null || inner === undefined) continue;
        try {
          result[ownKey(key.read(name))] = item.read(inner);
        } catch (error) {
          throw inItem(error, shownKey(name));
        }
      }
      return result;
    },
  };
}

/** Assigning this key would set the object's prototype, and MessagePack renames it. */
function ownKey(key: string): string {
  if (key === '__proto__') throw new ShapeError('', 'must have another name');
  return key;
}

/** A copy of the object as received: for parts that only a worker or a later version understands. */
export const jsonObject: Shape<object> = {
  read(value) {
    if (!isFields(value)) throw wrongType('an object', value);
    return jsonCopy(value, 0, { left: JSON_VALUES_LIMIT }) as object;
  },
};

function jsonCopy(value: unknown, depth: number, values: { left: number }): unknown {
  values.left -= 1;
  if (values.left < 0) throw new ShapeError('', `must have at most ${JSON_VALUES_LIMIT} values`);
  if (depth > JSON_DEPTH_LIMIT) {
    throw new ShapeError('', `must not be nested deeper than ${JSON_DEPTH_LIMIT} levels`);
  }
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number') return numberIn(value, 'a number', -1e300, 1e300);
  if (typeof value === 'string') return JSON_TEXT.read(value);
  if (Array.isArray(value)) {
    return value.map((inner: unknown, index) => {
      try {
        return jsonCopy(inner, depth + 1, values);
      } catch (error) {
        throw inItem(error, index);
      }
    });
  }
  if (!isFields(value)) throw wrongType('plain JSON', value);
  const result: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(value)) {
    if (inner === undefined) continue;
    try {
      result[ownKey(JSON_TEXT.read(name))] = jsonCopy(inner, depth + 1, values);
    } catch (error) {
      throw inItem(error, shownKey(name));
    }
  }
  return result;
}

const JSON_TEXT = text();

/**
 * An object with known fields. Drops unknown fields, so that a newer version may send them. The compiler
 * makes sure that every field of the type is read:
 *
 *     const version = record<ObjectVersion>({ Index: count });
 */
export function record<T extends object>(fields: FieldShapes<T>): RecordShape<T> {
  const names = Object.keys(fields);
  const shapes = Object.values(fields) as (Shape<unknown> | OptionalShape<unknown>)[];
  const isOptional = shapes.map((shape) => 'optional' in shape);
  const readers = shapes.map((shape) => ('optional' in shape ? shape.optional : shape));
  const { length } = names;
  return {
    fields,
    read(value) {
      if (!isFields(value)) throw wrongType('an object', value);
      const result: Record<string, unknown> = {};
      let index = 0;
      try {
        for (; index < length; index += 1) {
          const name = names[index]!;
          const inner = value[name];
          if (inner !== undefined && inner !== null) result[name] = readers[index]!.read(inner);
          else if (!isOptional[index]) throw new ShapeError('', 'is missing');
        }
      } catch (error) {
        throw inField(error, names[index]!);
      }
      return result as T;
    },
  };
}

/** An object with exactly one of the fields. */
export function exactlyOne<T extends object>(
  shapes: {
    readonly [K in keyof T]: Shape<T[K]>;
  },
): Shape<ExactlyOne<T>> {
  const known = new Map(Object.entries(shapes) as [string, Shape<unknown>][]);
  const wanted = `must have exactly one of ${[...known.keys()].join(', ')}`;
  return {
    read(value) {
      if (!isFields(value)) throw wrongType('an object', value);
      const given = [...known.keys()].filter(
        (name) => value[name] !== undefined && value[name] !== null,
      );
      const [name] = given;
      if (name === undefined || given.length > 1) throw new ShapeError('', wanted);
      try {
        return { [name]: known.get(name)!.read(value[name]) } as ExactlyOne<T>;
      } catch (error) {
        throw inField(error, name);
      }
    },
  };
}

/** The shape of each member of a union that `type` discriminates. */
export type VariantShapes<U extends { readonly type: string }> = {
  readonly [K in U['type']]: Shape<Extract<U, { readonly type: K }>>;
};

/** One of several objects, discriminated by `type`. */
export function variants<U extends { readonly type: string }>(shapes: VariantShapes<U>): Shape<U> {
  const known = new Map(Object.entries(shapes) as [string, Shape<U>][]);
  return {
    read(value) {
      if (!isFields(value)) throw wrongType('an object', value);
      const { type } = value;
      const shape = typeof type === 'string' ? known.get(type) : undefined;
      if (shape !== undefined) return shape.read(value);
      const shown = typeof type === 'string' ? shownKey(type) : typeName(type);
      throw new ShapeError('type', `is unknown: ${shown}`);
    },
  };
}
