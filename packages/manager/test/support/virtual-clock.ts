import type { Clock, Timer } from '@swarm/api';

interface VirtualTimer {
  readonly at: number;
  readonly order: number;
  readonly callback: () => void;
}

/** 2026-01-01T00:00:00Z. */
const START_MS = Date.UTC(2026, 0, 1);

/** A clock that stands still until it is told to move. Timers fire in order of time, then of creation. */
export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  readonly #start: number;
  readonly #timers = new Set<VirtualTimer>();

  constructor(startMs: number = START_MS) {
    this.#start = startMs;
    this.#now = startMs;
  }

  now(): number {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#now - this.#start;
  }

  setTimeout(callback: () => void, delayMs: number): Timer {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimeout(timer: Timer | undefined): void {
    this.#timers.delete(timer as VirtualTimer);
  }

  setImmediate(callback: () => void): Timer {
    return this.setTimeout(callback, 0);
  }

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Moves time on. Before the first, after each timer and at the end, everything that promises have in
   * hand is run to its end.
   */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const timer = this.#next();
      if (timer === undefined || timer.at > end) break;
      this.#timers.delete(timer);
      this.#now = timer.at;
      timer.callback();
      await settle();
    }
    this.#now = end;
  }

  #next(): VirtualTimer | undefined {
    let first: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (
        first === undefined ||
        timer.at < first.at ||
        (timer.at === first.at && timer.order < first.order)
      )
        first = timer;
    }
    return first;
  }
}

/** Lets all pending promise callbacks run, those that they make included. No virtual time passes. */
export async function settle(): Promise<void> {
  // A turn of the real event loop drains the microtask queue completely.
  await new Promise<void>((resolve) => setImmediate(resolve));
}
