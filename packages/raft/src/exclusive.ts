/** Runs asynchronous jobs one after another. */
export class Exclusive {
  private tail: Promise<unknown> = Promise.resolve();

  run<T>(job: () => Promise<T>): Promise<T> {
    const result = this.tail.then(job);
    this.tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all jobs so far are done, however they ended. */
  async idle(): Promise<void> {
    await this.tail;
  }
}
