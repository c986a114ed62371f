import { escapeJson } from '@swarm/api/client';
import { jsonData, plainText } from '../print.js';
import { TemplateError } from '../template-error.js';
import { typeName } from '../types.js';
import { elements, indirect, NOTHING, textsValue, textValue } from '../value.js';
import {
  checkLength,
  type Functions,
  intOf,
  limited,
  stringOf,
  type TemplateFunction,
} from './function.js';

/** The start of a word, as Go's `strings.Title` finds it. */
const WORD_START = /(?<![\p{L}\p{Nd}_])\p{L}/gu;

/** The functions that Docker's command adds to Go's. */
export const DOCKER_FUNCTIONS: Functions = new Map<string, TemplateFunction>([
  ['json', { least: 1, run: ([value]) => limited(escapeJson(JSON.stringify(jsonData(value!)))) }],
  [
    'join',
    {
      least: 2,
      run([list, separator], show) {
        const target = indirect(list!) ?? NOTHING;
        if (target.type.kind !== 'slice')
          throw new TemplateError(`expected a list to join, found ${typeName(target.type)}`);
        const texts = elements(target).map((each) => plainText(each, show));
        const between = stringOf(separator!, show);
        checkLength(texts.reduce((sum, { length }) => sum + length + between.length, 0));
        return textValue(texts.join(between));
      },
    },
  ],
  [
    'split',
    {
      least: 2,
      run([value, separator], show) {
        const text = stringOf(value!, show);
        const by = stringOf(separator!, show);
        return textsValue(by === '' ? [...text] : text.split(by));
      },
    },
  ],
  ['lower', changed((text) => eachCharacter(text, (one) => one.toLowerCase()))],
  ['upper', changed((text) => eachCharacter(text, (one) => one.toUpperCase()))],
  ['title', changed((text) => text.replace(WORD_START, (letter) => letter.toUpperCase()))],
  [
    'pad',
    {
      least: 3,
      run([value, before, after], show) {
        const text = stringOf(value!, show);
        const [left, right] = [before!, after!].map(spaces) as [string, string];
        return text === '' ? textValue('') : limited(left + text + right);
      },
    },
  ],
  [
    'truncate',
    {
      least: 2,
      run: ([value, length], show) => textValue(truncated(stringOf(value!, show), intOf(length!))),
    },
  ],
]);

/** In the heading of a table, the functions that change a value keep the column's name. */
export const HEADER_FUNCTIONS: Functions = new Map(
  ['json', 'join', 'slice', 'split', 'lower', 'upper', 'title', 'truncate'].map((name) => [
    name,
    { least: 1, most: 4, run: ([heading]) => heading! },
  ]),
);

function changed(change: (text: string) => string): TemplateFunction {
  return { least: 1, run: ([value], show) => limited(change(stringOf(value!, show))) };
}

/** Go changes characters one by one: `ß`, whose capital is two letters, stays. */
function eachCharacter(text: string, change: (character: string) => string): string {
  return [...text]
    .map((each) => {
      const changed = change(each);
      return [...changed].length === 1 ? changed : each;
    })
    .join('');
}

function spaces(count: Parameters<typeof intOf>[0]): string {
  const length = intOf(count);
  if (length < 0) throw new TemplateError('pad needs a number of spaces of at least 0');
  // Longer than any text may be; `limited` refuses it.
  return ' '.repeat(Math.min(length, 2 ** 25));
}

/** The first bytes, without half a character at the end. */
function truncated(text: string, length: number): string {
  if (length < 0) throw new TemplateError('truncate needs a length of at least 0');
  const bytes = Buffer.from(text);
  if (bytes.length <= length) return text;
  let end = length;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString();
}
