import { elementAt, lengthOf, sliced } from './lists.js';
import { argumentText, plainText, type Show } from '../print.js';
import { sprintf } from '../printf.js';
import { isPrintable } from '../quote.js';
import { TemplateError } from '../template-error.js';
import { boolValue, intValue, isTrue, type Value } from '../value.js';
import { COMPARISONS } from './compare.js';
import {
  checkLength,
  type Functions,
  limited,
  sprint,
  stringOf,
  type TemplateFunction,
} from './function.js';

const HTML: Readonly<Record<string, string>> = {
  ...{ '"': '&#34;', "'": '&#39;', '&': '&amp;', '<': '&lt;', '>': '&gt;', '\0': '\ufffd' },
};
const SCRIPT: Readonly<Record<string, string>> = {
  ...{ '\\': '\\\\', "'": "\\'", '"': '\\"', '<': '\\u003C', '>': '\\u003E' },
  ...{ '&': '\\u0026', '=': '\\u003D' },
};

/** The functions that every template of Go has, but for `and` and `or`, which evaluate their arguments lazily. */
export const BUILTINS: Functions = new Map<string, TemplateFunction>([
  ...COMPARISONS,
  ['not', { least: 1, run: ([value]) => boolValue(!isTrue(value!)) }],
  ['len', { least: 1, run: ([value]) => intValue(lengthOf(value!)) }],
  ['index', { least: 1, most: Infinity, run: ([value, ...at]) => at.reduce(elementAt, value!) }],
  ['slice', { least: 1, most: 4, run: ([value, ...at], show) => sliced(value!, at, show) }],
  ['print', text((args, show) => sprint(args, show))],
  ['println', text(sprintln)],
  [
    'printf',
    {
      least: 1,
      most: Infinity,
      run: ([format, ...args], show) => limited(sprintf(stringOf(format!, show), args, show)),
    },
  ],
  [
    'html',
    text((args, show) =>
      sprint(args, show, plainText).replace(/["'&<>]|\0/g, (each) => HTML[each]!),
    ),
  ],
  ['js', text((args, show) => escapeScript(sprint(args, show, plainText)))],
  ['urlquery', text((args, show) => escapeQuery(sprint(args, show, plainText)))],
  [
    'call',
    {
      least: 0,
      most: Infinity,
      run() {
        throw new TemplateError('there are no functions to call in what this command shows');
      },
    },
  ],
]);

function text(made: (args: readonly Value[], show: Show) => string): TemplateFunction {
  return { least: 0, most: Infinity, run: (args, show) => limited(made(args, show)) };
}

/** A space between all arguments, and a line feed. */
function sprintln(args: readonly Value[], show: Show): string {
  const texts = args.map((each) => argumentText(each, show));
  checkLength(texts.reduce((sum, { length }) => sum + length + 1, 0));
  return `${texts.join(' ')}\n`;
}

/** For a string of JavaScript. */
function escapeScript(value: string): string {
  return value.replace(/[\s\S]/gu, (character) => {
    const escaped = SCRIPT[character];
    if (escaped !== undefined) return escaped;
    const point = character.codePointAt(0)!;
    if (point >= 0x20 && (point < 0x7f || isPrintable(character))) return character;
    if (point === 0x7f) return character;
    return `\\u${point.toString(16).toUpperCase().padStart(4, '0')}`;
  });
}

/** For the query of a URL, as Go's `url.QueryEscape`. */
function escapeQuery(value: string): string {
  return encodeURIComponent(value.toWellFormed())
    .replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
