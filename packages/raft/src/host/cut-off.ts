/**
 * A stream that can be ended from outside, even while it waits for its source. Drops what the
 * source was about to give, and closes the source.
 */
export class CutOff implements AsyncIterable<Uint8Array> {
  private readonly source: AsyncIterable<Uint8Array>;
  private failure: Error | undefined;
  private interrupt: ((error: Error) => void) | undefined;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.source = source;
  }

  /** Ends the stream: the reader gets this error next. */
  cut(error: Error): void {
    this.failure ??= error;
    this.interrupt?.(this.failure);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const iterator = this.source[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.unlessCut(iterator.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      // Not awaited: the source may hang in a read.
      iterator.return?.().catch(() => undefined);
    }
  }

  private unlessCut<T>(step: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.interrupt = reject;
      if (this.failure !== undefined) reject(this.failure);
      step.then(resolve, reject);
    });
  }
}
