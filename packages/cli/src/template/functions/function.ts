import { TEXT_LIMIT } from '../limits.js';
import { argumentText, type Show, stringText } from '../print.js';
import { TemplateError } from '../template-error.js';
import { typeName } from '../types.js';
import { indirect, NOTHING, textValue, type Value } from '../value.js';

/** A function that templates can call. It throws a TemplateError without a place for wrong arguments. */
export interface TemplateFunction {
  readonly least: number;
  /** Default: as many as `least`. */
  readonly most?: number;
  run(args: readonly Value[], show: Show): Value;
}

/** By name. A Map, so that no name of JavaScript's own is found. */
export type Functions = ReadonlyMap<string, TemplateFunction>;

/** The text of a string argument, control characters spelt out if it is a daemon's. */
export function stringOf(value: Value, show: Show): string {
  const target = indirect(value) ?? NOTHING;
  if (target.type.kind !== 'string')
    throw new TemplateError(`expected a string, found ${typeName(target.type)}${hint(target)}`);
  return stringText(target, show);
}

/** An integer argument. */
export function intOf(value: Value): number {
  const target = indirect(value) ?? NOTHING;
  if (target.type.kind !== 'int' && target.type.kind !== 'duration')
    throw new TemplateError(`expected an integer, found ${typeName(target.type)}`);
  return Number(target.data ?? 0);
}

/** A string that a function made, unless it is too long. */
export function limited(text: string): Value {
  checkLength(text.length);
  return textValue(text);
}

/** @throws {TemplateError} for a text that is longer than any may be */
export function checkLength(length: number): void {
  if (length > TEXT_LIMIT)
    throw new TemplateError(`the text is longer than ${TEXT_LIMIT} characters`);
}

/**
 * Go's `fmt.Sprint`: a space between two arguments if neither is a string.
 * @param print `plainText` for what Go calls the printable value, without the mark of a pointer
 */
export function sprint(args: readonly Value[], show: Show, print = argumentText): string {
  let text = '';
  args.forEach((value, at) => {
    const isText = (each: Value) => each.type.kind === 'string';
    if (at > 0 && !isText(value) && !isText(args[at - 1]!)) text += ' ';
    text += print(value, show);
    checkLength(text.length);
  });
  return text;
}

function hint({ type, data }: Value): string {
  const isNumber = type.kind === 'int' || type.kind === 'float';
  return isNumber ? ` ${data ?? 0}: print makes a string of it` : '';
}
