import type { Clock, TimerHandle } from '../../src/host/clock.js';

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Time that passes only when told to. Timers due at the same time run in the order they were set. */
export class VirtualClock implements Clock {
  private timeMs = 0;
  private order = 0;
  private readonly timers = new Map<number, Timer>();
  private immediates: (() => void)[] = [];

  now(): number {
    return this.timeMs;
  }

  setTimeout(callback: () => void, ms: number): TimerHandle {
    const order = ++this.order;
    this.timers.set(order, { atMs: this.timeMs + Math.max(0, ms), order, callback });
    return order;
  }

  clearTimeout(handle: TimerHandle): void {
    this.timers.delete(handle as number);
  }

  setImmediate(callback: () => void): void {
    this.immediates.push(callback);
  }

  /** Runs everything that needs no time: immediates, and promises that are ready. */
  async settle(): Promise<void> {
    for (;;) {
      // Everything in a test cluster is in memory, so one real turn drains all promise jobs.
      await new Promise((resolve) => setImmediate(resolve));
      const due = this.immediates;
      if (due.length === 0) return;
      this.immediates = [];
      for (const callback of due) callback();
    }
  }

  async advance(ms: number): Promise<void> {
    const endMs = this.timeMs + ms;
    await this.settle();
    for (;;) {
      const next = this.nextTimer();
      if (next === undefined || next.atMs > endMs) break;
      this.timers.delete(next.order);
      this.timeMs = Math.max(this.timeMs, next.atMs);
      next.callback();
      await this.settle();
    }
    this.timeMs = Math.max(this.timeMs, endMs);
  }

  /** The event loop hangs: time passes and nothing runs. */
  stall(ms: number): void {
    this.timeMs += ms;
  }

  /** Lets time pass until `condition` holds. @throws when it does not within `limitMs`. */
  async until(condition: () => boolean, what: string, limitMs = 30_000): Promise<void> {
    const endMs = this.timeMs + limitMs;
    await this.settle();
    while (!condition()) {
      if (this.timeMs >= endMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.advance(10);
    }
  }

  private nextTimer(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.timers.values()) {
      if (next === undefined || timer.atMs < next.atMs) next = timer;
    }
    return next;
  }
}
