/** Between agents that push and one reader that pulls. Those who put must keep it bounded. */
export class LineQueue<T> {
  readonly #items: T[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  /** What is put after the end is dropped. */
  put(item: T): void {
    if (this.#ended) return;
    this.#items.push(item);
    this.#wake?.();
  }

  /** No more comes; what is there is still read. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** The next item; undefined at the end. One reader only. */
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
