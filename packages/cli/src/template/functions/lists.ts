import type { Show } from '../print.js';
import { TemplateError } from '../template-error.js';
import { ANY, typeName } from '../types.js';
import {
  asRecord,
  bytesOf,
  elements,
  indirect,
  intValue,
  NOTHING,
  type Value,
  typed,
} from '../value.js';
import { intOf, limited, stringOf } from './function.js';

/** `len`: of a string in bytes. */
export function lengthOf(value: Value): number {
  const target = known(value, 'len');
  switch (target.type.kind) {
    case 'string':
      return Buffer.byteLength(String(target.data ?? ''));
    case 'bytes':
      return bytesOf(target.data).length;
    case 'slice':
      return elements(target).length;
    case 'map':
      return Object.keys(asRecord(target.data)).length;
    default:
      throw new TemplateError(`${typeName(target.type)} has no length`);
  }
}

/** One step of `index`: an element of a list or of a map; the zero value for a key that is not in the map. */
export function elementAt(value: Value, index: Value): Value {
  const target = known(value, 'index');
  switch (target.type.kind) {
    case 'map': {
      const key = indirect(index) ?? NOTHING;
      if (key.type.kind !== 'string')
        throw new TemplateError(`the keys of a map are strings, not ${typeName(key.type)}`);
      const record = asRecord(target.data);
      const name = String(key.data ?? '');
      return typed(
        target.type.of,
        Object.hasOwn(record, name) ? record[name] : undefined,
        target.own,
      );
    }
    case 'slice':
      return within(elements(target), index);
    case 'string':
      return intValue(within([...Buffer.from(String(target.data ?? ''))], index));
    case 'bytes':
      return intValue(within([...bytesOf(target.data)], index));
    default:
      throw new TemplateError(
        `${typeName(target.type)} has no elements: index needs a list or a map`,
      );
  }
}

/** `slice x 1 3`: a part of a list, or of a string by bytes. */
export function sliced(value: Value, bounds: readonly Value[], show: Show): Value {
  const target = known(value, 'slice');
  if (target.type.kind === 'string') {
    if (bounds.length > 2) throw new TemplateError('a string has only two bounds');
    const bytes = Buffer.from(stringOf(target, show));
    const [from, to] = range(bounds, bytes.length);
    return limited(bytes.subarray(from, to).toString());
  }
  if (target.type.kind !== 'slice')
    throw new TemplateError(`slice needs a list or a string, not ${typeName(target.type)}`);
  const data = Array.isArray(target.data) ? target.data : [];
  const [from, to] = range(bounds, data.length);
  return {
    type: { kind: 'slice', of: target.type.of ?? ANY },
    data: data.slice(from, to),
    own: target.own,
  };
}

function range(bounds: readonly Value[], length: number): readonly [number, number] {
  const [from = 0, to = length, most = length] = bounds.map(intOf);
  for (const each of [from, to, most]) {
    if (each < 0 || each > length)
      throw new TemplateError(`${each} is out of range: the length is ${length}`);
  }
  if (from > to || to > most)
    throw new TemplateError(`the bounds ${from} and ${to} are in the wrong order`);
  return [from, to];
}

function within<T>(list: readonly T[], index: Value): T {
  const at = intOf(index);
  if (at < 0 || at >= list.length)
    throw new TemplateError(`${at} is out of range: there are ${list.length} elements`);
  return list[at]!;
}

function known(value: Value, name: string): Value {
  const target = indirect(value);
  if (target === undefined || target.type.kind === 'nothing')
    throw new TemplateError(`${name} of a value that is not set; {{with}} skips what is not set`);
  return target;
}
