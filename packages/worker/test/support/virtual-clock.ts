import type { Clock } from '@swarm/api';

interface Entry {
  readonly atMs: number;
  readonly callback: () => void;
}

/** Time that moves only when a test says so. */
export class VirtualClock implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly #entries = new Set<Entry>();

  now(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimeout(callback: () => void, delayMs: number): Entry {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), callback };
    this.#entries.add(entry);
    return entry;
  }

  clearTimeout(timer: unknown): void {
    this.#entries.delete(timer as Entry);
  }

  setImmediate(callback: () => void): Entry {
    return this.setTimeout(callback, 0);
  }

  /** Runs everything that is due until `ms` later, in order, with what follows from it. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const due = [...this.#entries]
        .filter(({ atMs }) => atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (due === undefined) break;
      this.#entries.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.callback();
      await settle();
    }
    this.#nowMs = endMs;
  }
}

/** Lets promises that are resolved already run their course. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
