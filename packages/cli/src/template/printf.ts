import { checkLength } from './functions/function.js';
import { WIDTH_LIMIT } from './limits.js';
import { exponentText, fixedText, floatText, significantText } from './numbers.js';
import {
  argumentText,
  plainText,
  pointerMark,
  type Show,
  stringText,
  structParts,
} from './print.js';
import { quoted } from './quote.js';
import { TemplateError } from './template-error.js';
import { goTypeName, type StructType } from './types.js';
import { bytesOf, elements, entries, indirect, type Value } from './value.js';

const VERB = /%([-+# 0]*)(\*|\d+)?(?:(\.)(\*|\d+)?)?(\[\d+\])?([\s\S]?)/gu;
const DEFAULT_PRECISION = 6;

interface Spec {
  readonly verb: string;
  readonly flags: string;
  readonly width: number | undefined;
  readonly precision: number | undefined;
}

/**
 * Formats as Go's `fmt.Sprintf`: the verbs v s q d t x X f F e E g G c b o O U T, with flags, width and precision.
 * A wrong verb or argument is spelt out in the result, as in Go: `%!d(string=web)`.
 */
export function sprintf(format: string, args: readonly Value[], show: Show): string {
  let next = 0;
  let text = '';
  let end = 0;
  const add = (part: string) => {
    text += part;
    checkLength(text.length);
  };
  for (const match of format.matchAll(VERB)) {
    const [all, flags = '', width, point, precision, index, verb = ''] = match;
    add(format.slice(end, match.index));
    end = match.index + all.length;
    if (verb === '%') {
      add('%');
      continue;
    }
    if (verb === '') {
      add('%!(NOVERB)');
      continue;
    }
    const star = () => starArgument(args[next++]);
    const widthValue = width === '*' ? star() : number(width);
    const precisionValue =
      precision === '*' ? star() : (number(precision) ?? (point === undefined ? undefined : 0));
    if (widthValue === 'bad' || precisionValue === 'bad') {
      add(widthValue === 'bad' ? '%!(BADWIDTH)' : '%!(BADPREC)');
      continue;
    }
    if (index !== undefined) next = Number(index.slice(1, -1)) - 1;
    const value = args[next];
    next += 1;
    if (value === undefined) {
      add(index === undefined ? `%!${verb}(MISSING)` : `%!${verb}(BADINDEX)`);
      continue;
    }
    const left = widthValue !== undefined && widthValue < 0;
    const spec: Spec = {
      verb,
      flags: left ? `${flags}-` : flags,
      width: widthValue === undefined ? undefined : Math.abs(widthValue),
      precision: precisionValue,
    };
    add(formatted(value, spec, show));
  }
  add(format.slice(end));
  const usesIndex = /%[-+# 0]*\d*\[\d+\]/.test(format);
  if (next < args.length && !usesIndex) {
    const extra = args
      .slice(next)
      .map(
        (each) =>
          `${goTypeName(each.type)}${each.type.kind === 'nothing' ? '' : `=${plainText(each, show)}`}`,
      );
    add(`%!(EXTRA ${extra.join(', ')})`);
  }
  return text;
}

function formatted(value: Value, spec: Spec, show: Show): string {
  const { verb } = spec;
  if (verb === 'T') return padded(goTypeName(value.type), spec);
  if (verb === 'v') return padded(verbV(value, spec, show), spec);
  const target = indirect(value);
  if (target === undefined)
    return 'bodxX'.includes(verb) ? padded('0', spec) : wrong(value, spec, show);
  if (pointerMark(value) !== '') return `&${formatted(target, spec, show)}`;
  switch (target.type.kind) {
    case 'slice':
      return `[${elements(target)
        .map((each) => formatted(each, spec, show))
        .join(' ')}]`;
    case 'map':
      return `map[${entries(target)
        .map(([key, each]) => `${formatted(key, spec, show)}:${formatted(each, spec, show)}`)
        .join(' ')}]`;
    case 'bool':
      return verb === 't' ? padded(plainText(target, show), spec) : wrong(target, spec, show);
    case 'int':
      return integerText(Number(target.data ?? 0), target, spec, show);
    case 'duration':
      if (verb === 's' || verb === 'q') return textual(plainText(target, show), spec);
      return integerText(Number(target.data ?? 0), target, spec, show);
    case 'float':
      return decimalText(Number(target.data ?? 0), target, spec, show);
    case 'string':
      return isTextual(verb) ? textual(stringText(target, show), spec) : wrong(target, spec, show);
    case 'bytes':
      if (verb === 'd') return padded(plainText(target, show), spec);
      if (!isTextual(verb)) return wrong(target, spec, show);
      return verb === 'x' || verb === 'X'
        ? padded(hex(bytesOf(target.data), spec), spec)
        : textual(show(bytesOf(target.data).toString()), spec);
    case 'time':
      return isTextual(verb) ? textual(plainText(target, show), spec) : wrong(target, spec, show);
    default:
      return target.type.kind === 'struct'
        ? structText(target, target.type, spec, show)
        : wrong(target, spec, show);
  }
}

function structText(value: Value, type: StructType, spec: Spec, show: Show): string {
  if (type.text !== undefined && isTextual(spec.verb)) return textual(plainText(value, show), spec);
  const parts = structParts(value, type).map(([, part]) => formatted(part, spec, show));
  return `{${parts.join(' ')}}`;
}

function verbV(value: Value, { flags, precision }: Spec, show: Show): string {
  if (flags.includes('#'))
    throw new TemplateError('%#v, Go’s own syntax, is not supported: use %v, or json');
  const { type, data } = value;
  if (type.kind === 'float' && precision !== undefined)
    return significantText(Number(data ?? 0), precision);
  if (type.kind === 'string' && precision !== undefined)
    return [...stringText(value, show)].slice(0, precision).join('');
  return argumentText(value, show, flags.includes('+'));
}

function isTextual(verb: string): boolean {
  return ['s', 'q', 'x', 'X'].includes(verb);
}

function textual(text: string, spec: Spec): string {
  const { verb, precision, flags } = spec;
  if (verb === 'x' || verb === 'X') {
    const bytes = Buffer.from(text);
    return padded(hex(precision === undefined ? bytes : bytes.subarray(0, precision), spec), spec);
  }
  const cut = precision === undefined ? text : [...text].slice(0, precision).join('');
  if (verb === 's') return padded(cut, spec);
  const raw = flags.includes('#') && !/[`\p{Cc}\u{feff}]/u.test(cut.replaceAll('\t', ''));
  return padded(raw ? `\`${cut}\`` : quoted(cut, '"', flags.includes('+')), spec);
}

function integerText(value: number, given: Value, spec: Spec, show: Show): string {
  switch (spec.verb) {
    case 'd':
      return padded(signed(value, digitsOf(value, 10, spec), '', spec), spec);
    case 'b':
      return padded(
        signed(value, digitsOf(value, 2, spec), spec.flags.includes('#') ? '0b' : '', spec),
        spec,
      );
    case 'o':
      return padded(
        signed(value, digitsOf(value, 8, spec), spec.flags.includes('#') ? '0' : '', spec),
        spec,
      );
    case 'O':
      return padded(signed(value, digitsOf(value, 8, spec), '0o', spec), spec);
    case 'x':
      return padded(
        signed(value, digitsOf(value, 16, spec), spec.flags.includes('#') ? '0x' : '', spec),
        spec,
      );
    case 'X':
      return padded(
        signed(
          value,
          digitsOf(value, 16, spec).toUpperCase(),
          spec.flags.includes('#') ? '0X' : '',
          spec,
        ),
        spec,
      );
    case 'c':
      return padded(character(value), spec);
    case 'q':
      return padded(quoted(character(value), "'", spec.flags.includes('+')), spec);
    case 'U':
      return padded(`U+${value.toString(16).toUpperCase().padStart(4, '0')}`, spec);
    default:
      return wrong(given, spec, show);
  }
}

function decimalText(value: number, given: Value, spec: Spec, show: Show): string {
  const { verb, precision } = spec;
  const text = decimal(Math.abs(value), verb.toLowerCase(), precision);
  if (text === undefined || verb === 'V') return wrong(given, spec, show);
  const written = verb === 'E' || verb === 'G' ? text.toUpperCase() : text;
  return padded(signed(value, written, '', spec), spec);
}

function decimal(value: number, verb: string, precision: number | undefined): string | undefined {
  switch (verb) {
    case 'f':
      return fixedText(value, precision ?? DEFAULT_PRECISION);
    case 'e':
      return exponentText(value, precision ?? DEFAULT_PRECISION);
    case 'g':
      return precision === undefined ? floatText(value) : significantText(value, precision);
    default:
      return undefined;
  }
}

/** The digits without a sign, at least as many as the precision. */
function digitsOf(value: number, base: number, { precision }: Spec): string {
  return Math.abs(value)
    .toString(base)
    .padStart(precision ?? 0, '0');
}

/** Adds sign and prefix, and zeros up to the width in between. */
function signed(value: number, digits: string, prefix: string, spec: Spec): string {
  const { flags, width, precision, verb } = spec;
  const negative = value < 0 || Object.is(value, -0);
  const sign = negative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  const isInteger = !/[efg]/i.test(verb);
  const zeros =
    flags.includes('0') && !flags.includes('-') && (!isInteger || precision === undefined);
  const room = zeros && width !== undefined ? width - sign.length - prefix.length : 0;
  return sign + prefix + digits.padStart(room, '0');
}

function padded(text: string, { flags, width }: Spec): string {
  if (width === undefined) return text;
  const missing = width - [...text].length;
  if (missing <= 0) return text;
  if (flags.includes('-')) return text + ' '.repeat(missing);
  return (flags.includes('0') ? '0' : ' ').repeat(missing) + text;
}

function hex(bytes: Buffer, { verb, flags }: Spec): string {
  const pairs = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  const prefix = flags.includes('#') ? '0x' : '';
  const text = flags.includes(' ')
    ? pairs.map((pair) => prefix + pair).join(' ')
    : (pairs.length === 0 ? '' : prefix) + pairs.join('');
  return verb === 'X' ? text.toUpperCase() : text;
}

function character(point: number): string {
  const isScalar = point >= 0 && point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
  return isScalar ? String.fromCodePoint(point) : '\ufffd';
}

/** What Go prints for a verb that does not suit the value. */
function wrong(value: Value, { verb }: Spec, show: Show): string {
  if (value.type.kind === 'nothing') return `%!${verb}(<nil>)`;
  return `%!${verb}(${goTypeName(value.type)}=${plainText(value, show)})`;
}

function number(text: string | undefined): number | 'bad' | undefined {
  if (text === undefined) return undefined;
  return Number(text) > WIDTH_LIMIT ? 'bad' : Number(text);
}

function starArgument(value: Value | undefined): number | 'bad' {
  const data = value?.type.kind === 'int' ? Number(value.data ?? 0) : Number.NaN;
  return Number.isNaN(data) || Math.abs(data) > WIDTH_LIMIT ? 'bad' : data;
}
