/** Outcomes of messages, by sender and kind. */
export class Counts {
  readonly #all = new Map<string, number>();

  add(name: string, label: string, outcome: string, count = 1): void {
    const key = `${name}\t${label}\t${outcome}`;
    this.#all.set(key, (this.#all.get(key) ?? 0) + count);
  }

  /** Returns the counts and clears them. */
  take(): [string, number][] {
    const taken = [...this.#all];
    this.#all.clear();
    return taken;
  }

  merge(counts: readonly (readonly [string, number])[]): void {
    for (const [key, count] of counts) this.#all.set(key, (this.#all.get(key) ?? 0) + count);
  }

  /** Sums by one part of the key: 0 the sender, 1 the message, 2 the outcome. */
  by(part: 0 | 1 | 2): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const [key, count] of this.#all) {
      const name = key.split('\t')[part]!;
      sums[name] = (sums[name] ?? 0) + count;
    }
    return sums;
  }

  get total(): number {
    let sum = 0;
    for (const count of this.#all.values()) sum += count;
    return sum;
  }
}
