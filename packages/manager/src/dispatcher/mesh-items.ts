import { isDeepStrictEqual } from 'node:util';

/** Parts of the mesh by id or key, and which of them changed. */
export class MeshItems<T, K extends string = string> {
  readonly #items = new Map<K, T>();
  /** What is not as it was when `takeChanges` was last called, as it was then. */
  #changed = new Map<K, T | undefined>();

  get(id: K): T | undefined {
    return this.#items.get(id);
  }

  ids(): Iterable<K> {
    return this.#items.keys();
  }

  /** All of them, in order of their ids. */
  all(): T[] {
    return [...this.#items.keys()].sort().map((id) => this.#items.get(id)!);
  }

  /** @returns whether that is news */
  set(id: K, item: T | undefined): boolean {
    const before = this.#items.get(id);
    // An unchanged item stays the same object.
    if (isDeepStrictEqual(before, item)) return false;
    if (!this.#changed.has(id)) this.#changed.set(id, before);
    if (item === undefined) this.#items.delete(id);
    else this.#items.set(id, item);
    if (isDeepStrictEqual(this.#changed.get(id), item)) this.#changed.delete(id);
    return true;
  }

  /** Ids of what changed since the last call. */
  takeChanges(): ReadonlySet<K> {
    const changed = new Set(this.#changed.keys());
    this.#changed = new Map();
    return changed;
  }

  /** Those of the ids that exist, and the ids of those that do not. */
  split(ids: Iterable<K>): { readonly items: T[]; readonly gone: K[] } {
    const items: T[] = [];
    const gone: K[] = [];
    for (const id of ids) {
      const item = this.#items.get(id);
      if (item === undefined) gone.push(id);
      else items.push(item);
    }
    return { items, gone };
  }
}
