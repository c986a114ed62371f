/** Most suggestions for one misspelt word. */
const SUGGESTION_LIMIT = 3;
/** A shorter word is the start of too many others. */
const PREFIX_MIN_LENGTH = 3;

/**
 * The known words that the user probably meant, likeliest first.
 * @param limit of edits; by default it depends on the length of the word
 */
export function nearest(
  word: string,
  known: readonly string[],
  limit = word.length <= 3 ? 1 : word.length <= 8 ? 2 : 3,
): readonly string[] {
  return known
    .map((each) => ({ each, edits: edits(word, each) }))
    .filter(
      ({ each, edits: count }) =>
        count <= limit || (word.length >= PREFIX_MIN_LENGTH && each.startsWith(word)),
    )
    .sort((a, b) => a.edits - b.edits || (a.each < b.each ? -1 : 1))
    .slice(0, SUGGESTION_LIMIT)
    .map(({ each }) => each);
}

/** `Did you mean 'a' or 'b'?` on its own line; empty without a suggestion. */
export function didYouMean(words: readonly string[]): string {
  return words.length === 0 ? '' : `\nDid you mean ${words.join(' or ')}?`;
}

/** Characters to insert, delete, replace or swap with their neighbour (optimal string alignment). */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, before[j - 2]! + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
