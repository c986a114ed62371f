/** Wakes everyone who waits, each time it fires. */
export class Signal {
  #waiting = newWait();

  /** Resolves at the next {@link fire}. */
  next(): Promise<void> {
    return this.#waiting.promise;
  }

  fire(): void {
    const { resolve } = this.#waiting;
    this.#waiting = newWait();
    resolve();
  }
}

function newWait(): { promise: Promise<void>; resolve: () => void } {
  let resolve!: () => void;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Resolves when the signal is aborted; at once when it was. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
