import { awaited } from '../runtime/awaited.js';

/** Wakes everyone who is waiting, each time it fires. */
export class Signal {
  #waiting = awaited<void>();

  /** Resolves at the next {@link fire}. */
  next(): Promise<void> {
    return this.#waiting.promise;
  }

  fire(): void {
    const { resolve } = this.#waiting;
    this.#waiting = awaited<void>();
    resolve();
  }
}

/** Resolves when the signal is aborted; at once if it already is. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
