/**
 * Runs one job at a time; of the values that wait meanwhile only the newest is kept. All callers whose
 * value was replaced resolve, or fail, with the one that replaced it.
 */
export class LatestQueue<T> {
  readonly #work: (value: T) => Promise<void>;
  #waiting: { value: T; done: Promise<void> } | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(work: (value: T) => Promise<void>) {
    this.#work = work;
  }

  push(value: T): Promise<void> {
    if (this.#waiting !== undefined) {
      this.#waiting.value = value;
      return this.#waiting.done;
    }
    const next = { value, done: Promise.resolve() };
    next.done = this.#running.then(() => {
      this.#waiting = undefined;
      return this.#work(next.value);
    });
    this.#waiting = next;
    this.#running = next.done.catch(() => {});
    return next.done;
  }

  /** Resolves when nothing runs or waits. */
  async idle(): Promise<void> {
    while (this.#waiting !== undefined) await this.#running;
    await this.#running;
  }
}
