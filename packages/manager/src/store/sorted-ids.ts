/**
 * Ids in ascending order. An iteration sees the ids as they were when it started, whatever is added or
 * removed meanwhile: changing the array under a reader copies it first.
 */
export class SortedIds implements Iterable<string> {
  #ids: string[] = [];
  #shared = false;

  get size(): number {
    return this.#ids.length;
  }

  has(id: string): boolean {
    return this.#ids[this.#position(id)] === id;
  }

  add(id: string): void {
    const at = this.#position(id);
    if (this.#ids[at] === id) return;
    this.#own();
    if (at === this.#ids.length) this.#ids.push(id);
    else this.#ids.splice(at, 0, id);
  }

  delete(id: string): void {
    const at = this.#position(id);
    if (this.#ids[at] !== id) return;
    this.#own();
    this.#ids.splice(at, 1);
  }

  [Symbol.iterator](): IterableIterator<string> {
    this.#shared = true;
    return this.#ids[Symbol.iterator]();
  }

  /** The ids that start with a text, as they were when the iteration began. */
  *startingWith(prefix: string): IterableIterator<string> {
    const ids = this.#ids;
    this.#shared = true;
    for (let at = this.#position(prefix); ids[at]?.startsWith(prefix) === true; at += 1)
      yield ids[at]!;
  }

  #own(): void {
    if (!this.#shared) return;
    this.#ids = this.#ids.slice();
    this.#shared = false;
  }

  /** Where `id` is, or would be. */
  #position(id: string): number {
    let low = 0;
    let high = this.#ids.length;
    // Loads and new ids of one kind mostly come in order.
    if (high > 0 && (this.#ids[high - 1] as string) < id) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ids[middle] as string) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
