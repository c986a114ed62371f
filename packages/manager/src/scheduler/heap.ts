/** A binary heap: `peek` returns an item that no other comes before. Holds each item once. */
export class Heap<T> {
  readonly #items: T[] = [];
  /** Where each item is; made when the first item other than the top changes. */
  #places: Map<T, number> | undefined;
  readonly #isBefore: (a: T, b: T) => boolean;

  constructor(isBefore: (a: T, b: T) => boolean, items: Iterable<T> = []) {
    this.#isBefore = isBefore;
    for (const item of items) this.push(item);
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#rise(item, this.#items.push(item) - 1);
  }

  pop(): T | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    if (first !== undefined) this.#places?.delete(first);
    if (this.#items.length > 0) this.#sink(last as T, 0);
    return first;
  }

  has(item: T): boolean {
    return this.#placeOf(item) !== undefined;
  }

  /** Moves an item to its place after it changed. Does nothing when it is not in the heap. */
  resettle(item: T): void {
    const at = item === this.#items[0] ? 0 : this.#placeOf(item);
    if (at === undefined) return;
    const parent = (at - 1) >> 1;
    if (at > 0 && this.#isBefore(item, this.#items[parent] as T)) this.#rise(item, at);
    else this.#sink(item, at);
  }

  #placeOf(item: T): number | undefined {
    this.#places ??= new Map(this.#items.map((one, index) => [one, index]));
    return this.#places.get(item);
  }

  #set(at: number, item: T): void {
    this.#items[at] = item;
    this.#places?.set(item, at);
  }

  /** Sifts an item up from a place. */
  #rise(item: T, from: number): void {
    const items = this.#items;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(item, items[parent] as T)) break;
      this.#set(at, items[parent] as T);
      at = parent;
    }
    this.#set(at, item);
  }

  /** Sifts an item down from a place. */
  #sink(item: T, from: number): void {
    const items = this.#items;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.#isBefore(items[child + 1] as T, items[child] as T))
        child += 1;
      if (!this.#isBefore(items[child] as T, item)) break;
      this.#set(at, items[child] as T);
      at = child;
    }
    this.#set(at, item);
  }
}
