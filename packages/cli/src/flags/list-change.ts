import { UsageError } from '../command.js';

/** How the entries of one list are compared and named when `--NAME-add` and `--NAME-rm` change it. */
export interface ListFlag<Item> {
  /** The flag without `-add` and `-rm`: `publish`. */
  readonly name: string;
  /** What an error calls one entry: `published port`. */
  readonly what: string;
  /** The entries that a value of `--NAME-rm` means, by meaning and not by spelling. */
  find(text: string, items: readonly Item[]): readonly Item[];
  /** Entries with the same key mean the same thing: a new one takes the place of the old one. */
  key(item: Item): string;
  /** Whether two entries with the same key are alike in all else, so that the old one stays as it is written. */
  same(a: Item, b: Item): boolean;
  /** An entry as the user would write it. Without values that may be secret. */
  show(item: Item): string;
  /** One command line cannot set the same key to two different things. */
  readonly once?: boolean;
}

/** Most entries that an error lists. */
const SHOWN_LIMIT = 20;

/**
 * Removes, then adds. An added entry replaces the one with the same key in its place; one that is there
 * already changes nothing.
 * @param owner of the list, for the error: `service web`
 * @throws UsageError for a removal that matches nothing, naming what there is
 */
export function changeList<Item>(
  flag: ListFlag<Item>,
  owner: string,
  old: readonly Item[],
  { removed = [], added = [] }: { removed?: readonly string[]; added?: readonly Item[] },
): Item[] {
  const gone = new Set<Item>();
  for (const text of removed) {
    const found = flag.find(text, old);
    // Removing what the same line adds replaces whatever was there.
    if (found.length === 0 && flag.find(text, added).length === 0)
      throw matchesNothing(flag, owner, old, text);
    for (const item of found) gone.add(item);
  }
  const kept = old.filter((item) => !gone.has(item));
  return put(flag, `--${flag.name}-add`, kept, added);
}

/** The entries that `--NAME` of a create command gives, each once. @throws UsageError for a contradiction */
export function distinct<Item>(flag: ListFlag<Item>, items: readonly Item[]): Item[] {
  return put(flag, `--${flag.name}`, [], items);
}

function put<Item>(
  flag: ListFlag<Item>,
  written: string,
  items: readonly Item[],
  added: readonly Item[],
): Item[] {
  const places = new Map<string, number>();
  const result: (Item | undefined)[] = [...items];
  for (const [at, item] of items.entries()) {
    const key = flag.key(item);
    if (!places.has(key)) places.set(key, at);
  }
  const given = new Map<string, Item>();
  for (const item of added) {
    const key = flag.key(item);
    const before = given.get(key);
    if (flag.once === true && before !== undefined && !flag.same(before, item))
      throw new UsageError(
        `${written}: ${flag.show(before)} and ${flag.show(item)} exclude each other: leave one out`,
      );
    given.set(key, item);
    const at = places.get(key);
    if (at === undefined) places.set(key, result.push(item) - 1);
    else if (!flag.same(result[at]!, item)) {
      // Where the same key is there twice, the last one counted: none of them may outlive the new one.
      for (let other = at + 1; other < items.length; other += 1)
        if (flag.key(items[other]!) === key) result[other] = undefined;
      result[at] = item;
    }
  }
  return result.filter((item) => item !== undefined) as Item[];
}

function matchesNothing<Item>(
  flag: ListFlag<Item>,
  owner: string,
  items: readonly Item[],
  text: string,
): UsageError {
  const names = [...new Set(items.map(flag.show))];
  const more = names.length - SHOWN_LIMIT;
  const shown = names.slice(0, SHOWN_LIMIT).join(', ');
  const has = names.length === 0 ? 'none' : more > 0 ? `${shown} and ${more} more` : shown;
  return new UsageError(
    `--${flag.name}-rm ${text}: ${owner} has no such ${flag.what}; it has ${has}`,
  );
}
