/** Failed tokens taken from one address in a window. */
export const FAILURES_LIMIT = 10;
export const FAILURES_WINDOW_MS = 60_000;
/** Addresses remembered; beyond, the oldest is forgotten. */
const ADDRESSES_LIMIT = 1024;

interface Failures {
  readonly sinceMs: number;
  count: number;
}

/**
 * Slows down guessing of join tokens. (128 random bits can not be guessed anyway; this keeps the log and
 * the CPU free of those who try.)
 */
export class FailureLimit {
  readonly #failures = new Map<string, Failures>();
  readonly #monotonicMs: () => number;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Whether this address has failed too often lately. */
  exceeded(address: string): boolean {
    return (this.#current(address)?.count ?? 0) >= FAILURES_LIMIT;
  }

  /** Counts one failure. */
  failed(address: string): void {
    const current = this.#current(address);
    if (current !== undefined) {
      current.count += 1;
      return;
    }
    if (this.#failures.size >= ADDRESSES_LIMIT) {
      const [oldest] = this.#failures.keys();
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
    this.#failures.set(address, { sinceMs: this.#monotonicMs(), count: 1 });
  }

  #current(address: string): Failures | undefined {
    const failures = this.#failures.get(address);
    if (failures === undefined) return undefined;
    if (this.#monotonicMs() - failures.sinceMs < FAILURES_WINDOW_MS) return failures;
    this.#failures.delete(address);
    return undefined;
  }
}
