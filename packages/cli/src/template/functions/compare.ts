import { TemplateError } from '../template-error.js';
import { typeName } from '../types.js';
import { boolValue, indirect, isNil, NOTHING, type Value } from '../value.js';
import type { Functions, TemplateFunction } from './function.js';

/** `eq` and its like, for values of basic types, with the rules of Go: an int is no float. */
export const COMPARISONS: Functions = new Map<string, TemplateFunction>([
  [
    'eq',
    {
      least: 2,
      most: Infinity,
      run: ([first, ...rest]) => boolValue(rest.some((each) => equal(first!, each))),
    },
  ],
  ['ne', binary((a, b) => !equal(a, b))],
  ['lt', binary(less)],
  ['le', binary((a, b) => less(a, b) || equal(a, b))],
  ['gt', binary((a, b) => !(less(a, b) || equal(a, b)))],
  ['ge', binary((a, b) => !less(a, b))],
]);

function binary(holds: (a: Value, b: Value) => boolean): TemplateFunction {
  return { least: 2, run: ([a, b]) => boolValue(holds(a!, b!)) };
}

function equal(a: Value, b: Value): boolean {
  if (isNil(a) || isNil(b)) return isNil(a) && isNil(b);
  const [x, y] = comparable(a, b);
  return x === y;
}

function less(a: Value, b: Value): boolean {
  const [x, y] = comparable(a, b);
  if (typeof x === 'boolean') throw new TemplateError('true and false have no order: use eq or ne');
  if (typeof x === 'string') return Buffer.compare(Buffer.from(x), Buffer.from(String(y))) < 0;
  return x < Number(y);
}

type Basic = string | number | boolean;

/** The data of two values of one basic type. */
function comparable(a: Value, b: Value): readonly [Basic, Basic] {
  const [x, y] = [basic(a), basic(b)];
  if (x.kind === y.kind) return [x.data, y.data];
  const numbers = [x.kind, y.kind].every((kind) => kind === 'int' || kind === 'float');
  throw new TemplateError(
    numbers
      ? 'a float cannot be compared with an int: write the constant as 1.0'
      : `cannot compare ${typeName(a.type)} with ${typeName(b.type)}`,
  );
}

function basic(value: Value): { readonly kind: string; readonly data: Basic } {
  const { type, data } = indirect(value) ?? NOTHING;
  switch (type.kind) {
    case 'bool':
      return { kind: 'bool', data: data === true };
    case 'string':
      return { kind: 'string', data: String(data ?? '') };
    case 'time':
      return { kind: 'time', data: String(data ?? '') };
    case 'int':
    case 'duration':
      return { kind: 'int', data: Number(data ?? 0) };
    case 'float':
      return { kind: 'float', data: Number(data ?? 0) };
    default:
      throw new TemplateError(
        `cannot compare ${typeName(value.type)}: only strings, numbers and booleans`,
      );
  }
}
