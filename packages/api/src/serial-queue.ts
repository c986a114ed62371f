/** Runs jobs one after the other, in the order they came; one that fails does not stop the next. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }

  /** Resolves when all jobs so far are done, however they ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
