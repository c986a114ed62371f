import { groupsOf } from '../assembly/address-groups.js';

/** Wrong tokens accepted from one host in a window, before all its tokens are refused. */
export const FAILURES_LIMIT = 10;
export const FAILURES_WINDOW_MS = 60_000;
/** Hosts remembered; the one remembered longest is forgotten first. */
const HOSTS_LIMIT = 1024;

interface Failures {
  readonly sinceMs: number;
  count: number;
}

/**
 * Slows down guessing of join tokens. (128 random bits cannot be guessed anyway; this protects the log and
 * the CPU from those who try.)
 */
export class FailureLimit {
  readonly #failures = new Map<string, Failures>();
  readonly #monotonicMs: () => number;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** Whether the host of this address has failed too often in the current window. */
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

/** The host of an address: one host has a whole IPv6 /64. */
export function hostOf(address: string): string {
  const [, host] = groupsOf(address);
  return host === '' ? address : host;
}
