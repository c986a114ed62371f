import { SortedIds } from './sorted-ids.js';

type Keys = string | readonly string[] | undefined;

/** The ids of the objects that have a key, in ascending order. Kept with each change, never rebuilt. */
export class IndexOf<T extends { readonly ID: string }> {
  readonly #keysOf: (object: T) => Keys;
  readonly #ids = new Map<string, SortedIds>();

  /** @param keysOf the keys of an object; undefined or an empty list for one that is in no list */
  constructor(keysOf: (object: T) => Keys) {
    this.#keysOf = keysOf;
  }

  get(key: string): SortedIds | undefined {
    return this.#ids.get(key);
  }

  /** Follows a change of one object. Leaves the keys alone that it keeps: most changes move nothing. */
  replace(before: T | undefined, after: T | undefined): void {
    const old = before && this.#keysOf(before);
    const next = after && this.#keysOf(after);
    if (old === next) return;
    // An object may have a thousand keys.
    const dropped = new Set(listed(old));
    const added = new Set(listed(next));
    for (const key of dropped) if (!added.has(key)) this.#drop(key, before!.ID);
    for (const key of added) if (!dropped.has(key)) this.#add(key, after!.ID);
  }

  #add(key: string, id: string): void {
    let ids = this.#ids.get(key);
    if (ids === undefined) {
      ids = new SortedIds();
      this.#ids.set(key, ids);
    }
    ids.add(id);
  }

  #drop(key: string, id: string): void {
    const ids = this.#ids.get(key);
    if (ids === undefined) return;
    ids.delete(id);
    if (ids.size === 0) this.#ids.delete(key);
  }
}

function listed(keys: Keys): readonly string[] {
  if (keys === undefined) return [];
  return typeof keys === 'string' ? [keys] : keys;
}
