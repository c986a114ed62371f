import { UsageError } from '../command.js';

const DURATION_UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Parses a duration as Go writes it (`1m30s`, `500ms`, `0`) to nanoseconds. */
export function parseDuration(flag: string, text: string): number {
  if (text === '0') return 0;
  const pattern = /(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/gy;
  let total = 0;
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    total += Number(match[1]) * DURATION_UNIT_NS[match[2]!]!;
    end = match.index + match[0].length;
  }
  if (text === '' || end !== text.length) {
    throw new UsageError(
      `invalid argument '${text}' for --${flag}: use a duration such as 500ms, 10s or 1m30s`,
    );
  }
  return Math.round(total);
}

const BYTE_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** Parses a size in bytes: `64m`, `1.5g`, `1048576`; units are powers of 1024. */
export function parseBytes(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s?(?:([kmgtp])i?)?b?$/i.exec(text);
  if (match === null)
    throw new UsageError(`invalid argument '${text}' for --${flag}: use a size such as 64m or 1g`);
  return Math.round(Number(match[1]) * BYTE_UNIT[(match[2] ?? '').toLowerCase()]!);
}

/** Parses CPUs with up to nine decimals to units of 10⁻⁹ CPU. */
export function parseCpus(flag: string, text: string): number {
  if (!/^\d+(\.\d{1,9})?$/.test(text)) {
    throw new UsageError(
      `invalid argument '${text}' for --${flag}: use a number of CPUs such as 0.5 or 2`,
    );
  }
  return Math.round(Number(text) * 1e9);
}

/** Parses a whole number of at least 0. */
export function parseCount(flag: string, text: string): number {
  if (!/^\d+$/.test(text))
    throw new UsageError(`invalid argument '${text}' for --${flag}: use a whole number`);
  return Number(text);
}

/** Parses `key=value` pairs; a pair without `=` has an empty value. */
export function parsePairs(items: readonly string[]): Record<string, string> {
  return Object.fromEntries(items.map(splitPair));
}

export function splitPair(item: string): [string, string] {
  const at = item.indexOf('=');
  return at === -1 ? [item, ''] : [item.slice(0, at), item.slice(at + 1)];
}

/** Parses comma-separated `key=value` fields; a field may be quoted with `"`. */
export function parseFields(flag: string, text: string): [string, string | undefined][] {
  const fields: [string, string | undefined][] = [];
  let end = 0;
  for (const match of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/gy)) {
    end = match.index + match[0].length;
    const field = match[1]?.replaceAll('""', '"') ?? match[2]!;
    if (field === '')
      throw new UsageError(`invalid argument '${text}' for --${flag}: an empty field`);
    const at = field.indexOf('=');
    fields.push(
      at === -1
        ? [field.toLowerCase(), undefined]
        : [field.slice(0, at).toLowerCase(), field.slice(at + 1)],
    );
  }
  if (end !== text.length)
    throw new UsageError(
      `invalid argument '${text}' for --${flag}: put quotes around a whole field, "key=value"`,
    );
  return fields;
}

/** Splits a command line into words as a shell would, for `--entrypoint` and `--args`. */
export function splitWords(flag: string, text: string): string[] {
  const words: string[] = [];
  let word = '';
  let inWord = false;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quote !== '') {
      if (c === quote) quote = '';
      else if (c === '\\' && quote === '"' && i + 1 < text.length) word += text[++i];
      else word += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      inWord = true;
    } else if (c === '\\' && i + 1 < text.length) {
      word += text[++i];
      inWord = true;
    } else if (/\s/.test(c)) {
      if (inWord) words.push(word);
      word = '';
      inWord = false;
    } else {
      word += c;
      inWord = true;
    }
  }
  if (quote !== '')
    throw new UsageError(`invalid argument '${text}' for --${flag}: missing closing quote`);
  if (inWord) words.push(word);
  return words;
}
