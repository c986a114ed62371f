import { groupsOf } from '../assembly/address-groups.js';

/** Failed tokens taken from one host in a window. */
export const FAILURES_LIMIT = 10;
export const FAILURES_WINDOW_MS = 60_000;
/** Hosts remembered; beyond, the oldest is forgotten. */
const HOSTS_LIMIT = 1024;

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

  /** Whether the host of this address has failed too often lately. */
  exceeded(address: string): boolean {
    return (this.#current(hostOf(address))?.count ?? 0) >= FAILURES_LIMIT;
  }

  /** Counts one failure. */
  failed(address: string): void {
    const host = hostOf(address);
    const current = this.#current(host);
    if (current !== undefined) {
      current.count += 1;
      return;
    }
    if (this.#failures.size >= HOSTS_LIMIT) {
      const [oldest] = this.#failures.keys();
      if (oldest !== undefined) this.#failures.delete(oldest);
    }
    this.#failures.set(host, { sinceMs: this.#monotonicMs(), count: 1 });
  }

  #current(host: string): Failures | undefined {
    const failures = this.#failures.get(host);
    if (failures === undefined) return undefined;
    if (this.#monotonicMs() - failures.sinceMs < FAILURES_WINDOW_MS) return failures;
    this.#failures.delete(host);
    return undefined;
  }
}

/** Whom an address stands for: one host holds a whole IPv6 /64. */
export function hostOf(address: string): string {
  const [, host] = groupsOf(address);
  return host === '' ? address : host;
}
