import { isDeepStrictEqual } from 'node:util';

/** Parts of the mesh by id, and which of them changed. */
export class MeshItems<T> {
  readonly #items = new Map<string, T>();
  /** What is not as it was when `takeChanges` was last called, as it was then. */
  #changed = new Map<string, T | undefined>();

  get(id: string): T | undefined {
    return this.#items.get(id);
  }

  ids(): Iterable<string> {
    return this.#items.keys();
  }

  /** All of them, in order of their ids. */
  all(): T[] {
    return [...this.#items.keys()].sort().map((id) => this.#items.get(id)!);
  }

  /** @returns whether that is news */
  set(id: string, item: T | undefined): boolean {
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
  takeChanges(): ReadonlySet<string> {
    const changed = new Set(this.#changed.keys());
    this.#changed = new Map();
    return changed;
  }

  /** Those of the ids that exist, and the ids of those that do not. */
  split(ids: Iterable<string>): { readonly items: T[]; readonly gone: string[] } {
    const items: T[] = [];
    const gone: string[] = [];
    for (const id of ids) {
      const item = this.#items.get(id);
      if (item === undefined) gone.push(id);
      else items.push(item);
    }
    return { items, gone };
  }
}
