/** A range of addresses, as numbers of one family, and whose it is. */
export interface OwnedRange<T> {
  readonly first: bigint;
  readonly last: bigint;
  readonly owner: T;
}

/**
 * Ranges by their first address. Asking what is in the way of another one costs the same for ten as for ten
 * thousand. No two overlap, except those that the store already has: these are asked one by one.
 */
export class RangeIndex<T> {
  readonly #sorted: OwnedRange<T>[] = [];
  /** Ranges that overlap one of the others when they came; usually none. */
  readonly #odd = new Set<OwnedRange<T>>();

  add(range: OwnedRange<T>): void {
    if (this.overlapping(range.first, range.last) === undefined)
      this.#sorted.splice(this.#position(range.first), 0, range);
    else this.#odd.add(range);
  }

  /** @param range the very one that was added */
  delete(range: OwnedRange<T>): void {
    if (this.#odd.delete(range)) return;
    const at = this.#position(range.first);
    if (this.#sorted[at] !== range) return;
    this.#sorted.splice(at, 1);
    for (const odd of [...this.#odd]) {
      this.#odd.delete(odd);
      this.add(odd);
    }
  }

  /** A range that has an address from `first` to `last`; undefined when none has. */
  overlapping(first: bigint, last: bigint): OwnedRange<T> | undefined {
    const before = this.#sorted[this.#position(last + 1n) - 1];
    if (before !== undefined && before.last >= first) return before;
    for (const odd of this.#odd) if (odd.first <= last && odd.last >= first) return odd;
    return undefined;
  }

  /** The place of the first range that does not begin before this address. */
  #position(first: bigint): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sorted[middle]!.first < first) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
