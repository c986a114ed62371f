/** Lets one attempt of a creation run at a time, so that the next one finds what it made. */
export class CreationQueue {
  readonly #ongoing = new Map<string, Promise<void>>();

  /** Runs the work once no other with this key is under way. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    for (;;) {
      const other = this.#ongoing.get(key);
      if (other === undefined) break;
      await other;
    }
    const result = work();
    const settled = result.then(
      () => {},
      () => {},
    );
    this.#ongoing.set(key, settled);
    try {
      return await result;
    } finally {
      this.#ongoing.delete(key);
    }
  }
}
