import { FLOAT, INT } from './types.js';
import { TemplateError } from './template-error.js';
import type { Value } from './value.js';

const ESCAPES: Readonly<Record<string, number>> = {
  ...{ a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92, "'": 39, '"': 34 },
};
const ESCAPED =
  /\\(?:x([\da-fA-F]{2})|([0-7]{3})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))|([^\\]+)|\\/gsu;
const MAX_CODE_POINT = 0x10ffff;
const INTEGER =
  /^[+-]?(?:0[xX](?:_?[\da-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|[1-9](?:_?\d)*|0)$/;
const DECIMAL = /^[+-]?(?:\d(?:_?\d)*\.?(?:\d(?:_?\d)*)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d+)?$/;

/**
 * Reads a string of Go: `"…"` with escapes, or `` `…` `` without.
 * @throws {TemplateError} without a place
 */
export function readString(quoted: string): string {
  if (quoted.startsWith('`')) return quoted.slice(1, -1).replaceAll('\r', '');
  return unescaped(quoted.slice(1, -1), '"');
}

/** Reads a character of Go, such as `'a'` or `'\n'`: its code point. */
export function readCharacter(quoted: string): number {
  const characters = [...unescaped(quoted.slice(1, -1), "'")];
  if (characters.length !== 1)
    throw new TemplateError(`${quoted} is not one character: write a string as "…"`);
  return characters[0]!.codePointAt(0)!;
}

/** Reads a number of Go: integers of any base, with `_` between digits; decimal floats. */
export function readNumber(text: string): Value {
  if (INTEGER.test(text)) return exact(text);
  if (!DECIMAL.test(text) || !/[.eE]/.test(text))
    throw new TemplateError(`'${text}' is not a number`);
  return { type: FLOAT, data: Number(text.replaceAll('_', '')), own: true };
}

function exact(text: string): Value {
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[+-]/, '').replaceAll('_', '');
  // Go's octal without an `o`.
  const data = sign * Number(/^0\d/.test(digits) ? `0o${digits}` : digits);
  if (!Number.isSafeInteger(data))
    throw new TemplateError(`${text} is too large: integers go up to ${Number.MAX_SAFE_INTEGER}`);
  return { type: INT, data: data === 0 ? 0 : data, own: true };
}

function unescaped(text: string, quote: string): string {
  const parts: Buffer[] = [];
  for (const [all, hex, octal, short, long, single, plain] of text.matchAll(ESCAPED)) {
    const byte = hex === undefined ? octal && Number.parseInt(octal, 8) : Number.parseInt(hex, 16);
    const point = short ?? long;
    if (plain !== undefined) parts.push(Buffer.from(plain));
    else if (typeof byte === 'number' && byte <= 0xff) parts.push(Buffer.from([byte]));
    else if (point !== undefined && Number.parseInt(point, 16) <= MAX_CODE_POINT)
      parts.push(Buffer.from(String.fromCodePoint(Number.parseInt(point, 16))));
    else if (single !== undefined && isEscape(single, quote))
      parts.push(Buffer.from([ESCAPES[single]!]));
    else throw new TemplateError(`'${all}' is not an escape sequence: write a backslash as \\\\`);
  }
  return Buffer.concat(parts).toString();
}

function isEscape(character: string, quote: string): boolean {
  if (character === '"' || character === "'") return character === quote;
  return Object.hasOwn(ESCAPES, character);
}
