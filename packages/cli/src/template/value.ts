import { ANY, BOOL, FLOAT, INT, mapOf, STRING, STRINGS, sliceOf, type Type } from './types.js';

/** A value with the type that Go would give it. */
export interface Value {
  readonly type: Type;
  /** As in JSON; undefined if it is absent, which is Go's zero value. */
  readonly data: unknown;
  /** Whether the template made it: only what comes from elsewhere may hold control characters to spell out. */
  readonly own: boolean;
}

/** A value that does not exist, such as an unknown key of a map: prints `<no value>`. Also the untyped nil. */
export const NOTHING: Value = { type: { kind: 'nothing' }, data: undefined, own: true };

export const textValue = (data: string): Value => ({ type: STRING, data, own: true });
export const intValue = (data: number): Value => ({ type: INT, data, own: true });
export const floatValue = (data: number): Value => ({ type: FLOAT, data, own: true });
export const boolValue = (data: boolean): Value => ({ type: BOOL, data, own: true });
export const textsValue = (data: readonly string[]): Value => ({ type: STRINGS, data, own: true });

/**
 * Gives data its type. What does not fit the type, because a newer or a broken daemon sent it, gets the type
 * that its JSON shows.
 */
export function typed(type: Type, data: unknown, own = false): Value {
  if (type.kind === 'any') return shownValue(data, own);
  if (data === undefined || data === null) return { type, data: undefined, own };
  return fits(type, data) ? { type, data, own } : shownValue(data, own);
}

/** The value that a pointer points to; undefined for a nil pointer. Other values are returned as they are. */
export function indirect(value: Value): Value | undefined {
  if (value.type.kind !== 'pointer') return value;
  return value.data === undefined ? undefined : typed(value.type.to, value.data, value.own);
}

/** Whether it is nil: a missing value, or a pointer, list or map that is not set. */
export function isNil({ type, data }: Value): boolean {
  const nullable = ['nothing', 'pointer', 'slice', 'map', 'bytes'].includes(type.kind);
  return nullable && data === undefined;
}

/** Whether `if` takes it for true: not the zero value of its type. A struct always is. */
export function isTrue({ type, data }: Value): boolean {
  switch (type.kind) {
    case 'struct':
    case 'time':
      return true;
    case 'slice':
      return asList(data).length > 0;
    case 'map':
      return Object.keys(asRecord(data)).length > 0;
    case 'pointer':
      return data !== undefined;
    default:
      return Boolean(data);
  }
}

/** Elements of a slice. */
export function elements({ type, data, own }: Value): readonly Value[] {
  const of = type.kind === 'slice' ? type.of : ANY;
  return asList(data).map((each) => typed(of, each, own));
}

/** Entries of a map, by key, as Go sorts them. */
export function entries({ type, data, own }: Value): readonly (readonly [Value, Value])[] {
  const of = type.kind === 'map' ? type.of : ANY;
  return sortedKeys(asRecord(data)).map((key) => [
    { type: STRING, data: key, own },
    typed(of, asRecord(data)[key], own),
  ]);
}

/** Keys in the order of their bytes. */
export function sortedKeys(record: object): readonly string[] {
  return Object.keys(record).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function asRecord(data: unknown): Readonly<Record<string, unknown>> {
  return isRecord(data) ? data : {};
}

/** The bytes of base64, as the numbers that Go has. */
export function bytesOf(data: unknown): Buffer {
  return typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.alloc(0);
}

function asList(data: unknown): readonly unknown[] {
  return Array.isArray(data) ? data : [];
}

function isRecord(data: unknown): data is Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data);
}

function fits(type: Type, data: unknown): boolean {
  switch (type.kind) {
    case 'bool':
      return typeof data === 'boolean';
    case 'string':
    case 'time':
    case 'bytes':
      return typeof data === 'string';
    case 'int':
    case 'duration':
      return typeof data === 'number' && Number.isInteger(data);
    case 'float':
      return typeof data === 'number';
    case 'slice':
      return Array.isArray(data);
    case 'map':
    case 'struct':
      return isRecord(data);
    case 'pointer':
      return fits(type.to, data);
    default:
      return true;
  }
}

function shownValue(data: unknown, own: boolean): Value {
  switch (typeof data) {
    case 'string':
      return { type: STRING, data, own };
    case 'boolean':
      return { type: BOOL, data, own };
    case 'number':
      return { type: Number.isInteger(data) ? INT : FLOAT, data, own };
    case 'object':
      if (data === null) return NOTHING;
      return { type: Array.isArray(data) ? sliceOf(ANY) : mapOf(ANY), data, own };
    default:
      return NOTHING;
  }
}
