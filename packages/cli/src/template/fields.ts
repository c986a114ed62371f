import { goDuration } from '../output/time.js';
import { flatFields } from './print.js';
import { TemplateError } from './template-error.js';
import { goTimeFormat, goTimeText, isZeroTime, unixSeconds } from './times.js';
import { ANY, type Field, STRING, type StructType, typeName } from './types.js';
import {
  asRecord,
  boolValue,
  floatValue,
  indirect,
  intValue,
  NOTHING,
  textValue,
  type Value,
  typed,
} from './value.js';

/** Most names that an error lists. */
const NAMES_LIMIT = 24;
const NS_PER_SECOND = 1e9;

type Method = (value: Value, args: readonly Value[]) => Value;

/** The methods of Go's types that templates can call, by kind and name. */
const METHODS: Readonly<Record<string, ReadonlyMap<string, { arity: number; run: Method }>>> = {
  time: new Map([
    [
      'Format',
      {
        arity: 1,
        run: ({ data }, [layout]) => foreign(goTimeFormat(data, String(layout!.data ?? ''))),
      },
    ],
    ['IsZero', { arity: 0, run: ({ data }) => boolValue(isZeroTime(data)) }],
    ['String', { arity: 0, run: ({ data }) => foreign(goTimeText(data)) }],
    ['Unix', { arity: 0, run: ({ data }) => intValue(unixSeconds(data) ?? 0) }],
    ['UTC', { arity: 0, run: (value) => value }],
  ]),
  duration: new Map([
    [
      'Hours',
      { arity: 0, run: ({ data }) => floatValue(Number(data ?? 0) / (3600 * NS_PER_SECOND)) },
    ],
    [
      'Milliseconds',
      { arity: 0, run: ({ data }) => intValue(Math.trunc(Number(data ?? 0) / 1e6)) },
    ],
    [
      'Minutes',
      { arity: 0, run: ({ data }) => floatValue(Number(data ?? 0) / (60 * NS_PER_SECOND)) },
    ],
    ['Nanoseconds', { arity: 0, run: ({ data }) => intValue(Number(data ?? 0)) }],
    ['Seconds', { arity: 0, run: ({ data }) => floatValue(Number(data ?? 0) / NS_PER_SECOND) }],
    ['String', { arity: 0, run: ({ data }) => textValue(goDuration(Number(data ?? 0))) }],
  ]),
};

/**
 * Reads a field, calls a method, or looks up a key of a map. Only what the JSON holds and the type names can be
 * reached: never a property of JavaScript's own.
 * @param path as written, for errors: `.Spec.Name`
 * @throws {TemplateError} without a place
 */
export function fieldOf(value: Value, name: string, args: readonly Value[], path: string): Value {
  const target = indirect(value);
  if (target === undefined)
    throw new TemplateError(
      `no field '${name}' in '${path}': ${typeName(value.type)} is not set here; {{with}} skips what is not set`,
    );
  const method = METHODS[target.type.kind]?.get(name);
  if (method !== undefined) {
    if (args.length !== method.arity)
      throw new TemplateError(`${name} takes ${method.arity} arguments, not ${args.length}`);
    return method.run(target, args);
  }
  if (args.length > 0)
    throw new TemplateError(`'${path}' is not a function: it takes no arguments`);
  switch (target.type.kind) {
    case 'struct':
      return structField(target, target.type, name) ?? missing(target, name, path);
    case 'map': {
      const record = asRecord(target.data);
      return Object.hasOwn(record, name)
        ? typed(target.type.of, record[name], target.own)
        : NOTHING;
    }
    default:
      return missing(target, name, path);
  }
}

/** Text that is a daemon's own where that is no time. */
function foreign(data: string): Value {
  return { type: STRING, data, own: false };
}

function structField({ data, own }: Value, type: StructType, name: string): Value | undefined {
  const record = asRecord(data);
  const field = findField(type, name);
  if (field !== undefined) {
    const { type: of, embedded, key } = field;
    return typed(of, embedded && of.kind === 'struct' ? partOf(record, of) : record[key], own);
  }
  // A newer daemon's field.
  return Object.hasOwn(record, name) ? typed(ANY, record[name], own) : undefined;
}

/** The fields of an embedded struct, out of the JSON of the one around it. */
function partOf(record: Readonly<Record<string, unknown>>, type: StructType): object {
  const keys = [...flatFields(type)].map(([, { key }]) => key);
  return Object.fromEntries(
    keys.filter((key) => Object.hasOwn(record, key)).map((key) => [key, record[key]]),
  );
}

function findField(type: StructType, name: string): Field | undefined {
  const direct = type.fields.get(name);
  if (direct !== undefined) return direct;
  for (const { embedded, type: of } of type.fields.values()) {
    const found = embedded && of.kind === 'struct' ? findField(of, name) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function missing({ type }: Value, name: string, path: string): never {
  const names =
    type.kind === 'struct'
      ? [...flatFields(type)].map(([field]) => field).sort()
      : [...(METHODS[type.kind]?.keys() ?? [])];
  const listed = names.slice(0, NAMES_LIMIT).join(', ');
  const more = names.length > NAMES_LIMIT ? ` and ${names.length - NAMES_LIMIT} more` : '';
  const has = names.length === 0 ? 'no fields' : `${listed}${more}`;
  const what = type.kind === 'nothing' ? 'a missing value' : typeName(type);
  throw new TemplateError(`no field '${name}' in '${path}': ${what} has ${has}`);
}
