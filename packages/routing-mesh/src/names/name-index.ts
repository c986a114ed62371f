/** Finds what has a key; several may share one. Most keys have one value, which then costs no set. */
export class NameIndex<T extends object> {
  readonly #found = new Map<string, T | Set<T>>();

  add(key: string, value: T): void {
    const found = this.#found.get(key);
    if (found === undefined) this.#found.set(key, value);
    else if (found instanceof Set) found.add(value);
    else if (found !== value) this.#found.set(key, new Set([found, value]));
  }

  remove(key: string, value: T): void {
    const found = this.#found.get(key);
    if (found === value) this.#found.delete(key);
    else if (found instanceof Set && found.delete(value) && found.size === 0)
      this.#found.delete(key);
  }

  /** In the order in which they came; empty if there is none. */
  get(key: string): Iterable<T> {
    const found = this.#found.get(key);
    if (found === undefined) return [];
    return found instanceof Set ? found : [found];
  }

  has(key: string): boolean {
    return this.#found.has(key);
  }
}
