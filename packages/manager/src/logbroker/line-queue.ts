/** A queue between agents that push and one reader that pulls. The callers of `put` keep it bounded. */
export class LineQueue<T> {
  readonly #items: T[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  /** Adds an item; drops it after the end. */
  put(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** Ends the queue. The reader still gets what is in it. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Waits for the next item; undefined at the end. One reader only. */
  async take(): Promise<T | undefined> {
    while (this.#items.length === 0) {
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    return this.#items.shift();
  }
}
