/**
 * Runs one job at a time; of the values that wait meanwhile, keeps only the newest. A caller whose value was
 * replaced resolves, or fails, with the one that replaced it.
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

  /** Resolves when nothing is running or waiting. */
  async idle(): Promise<void> {
    while (this.#waiting !== undefined) await this.#running;
    await this.#running;
  }
}
