import { goDuration } from '../output/time.js';
import { floatText } from './numbers.js';
import { goTimeText } from './times.js';
import { ANY, type Field, type StructType } from './types.js';
import {
  asRecord,
  bytesOf,
  elements,
  entries,
  indirect,
  isNil,
  type Value,
  typed,
} from './value.js';

/** Spells out what a terminal or a table must not get from a daemon's string. */
export type Show = (text: string) => string;

/** The text of an action: as Go's `%v`, but `<no value>` for a value that is missing. */
export function actionText(value: Value, show: Show): string {
  return value.type.kind === 'nothing' ? '<no value>' : plainText(value, show);
}

/** Formats a value as Go's `%v`: `map[a:1 b:2]`, `[a b]`, `<nil>`; a struct as `{a b}`. */
export function plainText(value: Value, show: Show, named = false): string {
  const { type, data } = value;
  switch (type.kind) {
    case 'nothing':
    case 'any':
      return '<nil>';
    case 'string':
      return stringText(value, show);
    case 'bool':
      return data === true ? 'true' : 'false';
    case 'int':
      return String(data ?? 0);
    case 'float':
      return floatText(Number(data ?? 0));
    case 'time':
      return show(goTimeText(data));
    case 'duration':
      return goDuration(Number(data ?? 0));
    case 'bytes':
      return `[${[...bytesOf(data)].join(' ')}]`;
    case 'slice':
      return `[${elements(value)
        .map((each) => plainText(each, show, named))
        .join(' ')}]`;
    case 'map':
      return `map[${entries(value)
        .map(([key, each]) => `${stringText(key, show)}:${plainText(each, show, named)}`)
        .join(' ')}]`;
    case 'pointer': {
      // Go prints the address of a pointer inside of a struct: of no use to anybody.
      const target = indirect(value);
      return target === undefined ? '<nil>' : plainText(target, show, named);
    }
    case 'struct':
      return structText(value, type, show, named);
  }
}

/** What Go's `fmt` makes of an argument: a pointer to a struct, a list or a map shows as one. */
export function argumentText(value: Value, show: Show, named = false): string {
  return pointerMark(value) + plainText(value, show, named);
}

/** `&`, or nothing. */
export function pointerMark(value: Value): string {
  if (value.type.kind !== 'pointer' || value.data === undefined) return '';
  const { to } = value.type;
  const isWhole = to.kind === 'slice' || to.kind === 'map' || to.kind === 'struct';
  return isWhole && !(to.kind === 'struct' && to.text !== undefined) ? '&' : '';
}

/** The text of a string, with control characters spelt out unless the template made it. */
export function stringText({ data, own }: Value, show: Show): string {
  const text = String(data ?? '');
  return own ? text : show(text);
}

/** What `json` shows: maps by key, as Go does; what is not set as Go's zero value. */
export function jsonData(value: Value): unknown {
  const { type, data } = value;
  switch (type.kind) {
    case 'struct': {
      const types = new Map([...flatFields(type)].map(([, field]) => [field.key, field.type]));
      return Object.fromEntries(
        Object.entries(asRecord(data)).map(([key, each]) => [
          key,
          jsonData(typed(types.get(key) ?? ANY, each)),
        ]),
      );
    }
    case 'map':
      if (isNil(value)) return null;
      return Object.fromEntries(entries(value).map(([key, each]) => [key.data, jsonData(each)]));
    case 'slice':
      return isNil(value) ? null : elements(value).map(jsonData);
    case 'pointer': {
      const target = indirect(value);
      return target === undefined ? null : jsonData(target);
    }
    case 'string':
      return data ?? '';
    case 'bool':
      return data ?? false;
    case 'int':
    case 'float':
    case 'duration':
      return data ?? 0;
    case 'time':
      return data ?? '0001-01-01T00:00:00Z';
    default:
      return data ?? null;
  }
}

/** Its own fields and those of what it embeds. */
export function* flatFields(type: StructType): Generator<readonly [string, Field]> {
  for (const [name, field] of type.fields) {
    if (field.embedded && field.type.kind === 'struct') yield* flatFields(field.type);
    else yield [name, field];
  }
}

function structText(value: Value, type: StructType, show: Show, named: boolean): string {
  const part = (field: Value) => plainText(field, show, named);
  const whole = type.text === undefined ? undefined : type.fields.get(type.text);
  if (whole !== undefined) return part(partValue(value, whole));
  const parts = structParts(value, type).map(([name, field]) =>
    named ? `${name}:${part(field)}` : part(field),
  );
  return `{${parts.join(' ')}}`;
}

/** The fields of a struct that Docker's type has, in Go's order. */
export function structParts(value: Value, type: StructType): readonly (readonly [string, Value])[] {
  return [...type.fields]
    .filter(([, { ours }]) => !ours)
    .map(([name, field]) => [name, partValue(value, field)]);
}

function partValue({ data, own }: Value, { type, key, embedded }: Field): Value {
  return typed(type, embedded ? data : asRecord(data)[key], own);
}
