/** Records that a fault or a rare state occurred. */
export interface Marks<Mark extends string> {
  mark(name: Mark): void;
}

/**
 * Counts faults and rare states. A simulator that never reaches a state says nothing about it, so
 * the states we care about are listed, and those never reached are shown.
 */
export class Coverage<Mark extends string = string> implements Marks<Mark> {
  readonly counts = new Map<string, number>();
  readonly #marks: readonly Mark[];

  /** @param marks every possible mark */
  constructor(marks: readonly Mark[]) {
    this.#marks = marks;
  }

  mark(name: Mark): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  add(counts: Iterable<readonly [name: string, count: number]>): void {
    for (const [name, count] of counts) {
      this.counts.set(name, (this.counts.get(name) ?? 0) + count);
    }
  }

  get missing(): readonly Mark[] {
    return this.#marks.filter((mark) => !this.counts.has(mark));
  }

  /** One line per mark, most frequent first. */
  describe(): string {
    const rows = this.#marks.map((mark) => [mark, this.counts.get(mark) ?? 0] as const);
    return [...rows]
      .sort((a, b) => b[1] - a[1])
      .map(([mark, count]) => `  ${String(count).padStart(10)}  ${mark}`)
      .join('\n');
  }
}
