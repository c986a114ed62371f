const SHORT: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};
/** What Go calls printable, apart from the space: letters, marks, numbers, punctuation and symbols. */
const PRINTABLE = /^[ \p{L}\p{M}\p{N}\p{P}\p{S}]$/u;

/** Quotes text as a literal of Go, as `%q` does. @param ascii whether to escape everything that is not ASCII */
export function quoted(text: string, quote: '"' | "'", ascii: boolean): string {
  const body = [...text].map((character) => {
    if (character === quote || character === '\\') return `\\${character}`;
    const short = SHORT[character];
    if (short !== undefined) return short;
    const point = character.codePointAt(0)!;
    if (point < 0x80 ? point >= 0x20 && point < 0x7f : !ascii && isPrintable(character))
      return character;
    if (point < 0x80) return `\\x${point.toString(16).padStart(2, '0')}`;
    return point > 0xffff
      ? `\\U${point.toString(16).padStart(8, '0')}`
      : `\\u${point.toString(16).padStart(4, '0')}`;
  });
  return quote + body.join('') + quote;
}

/** Whether Go's `unicode.IsPrint` says so. */
export function isPrintable(character: string): boolean {
  return PRINTABLE.test(character);
}
