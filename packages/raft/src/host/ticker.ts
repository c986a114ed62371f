import type { Clock, TimerHandle } from './clock.js';

/** How early a timer may fire by `clock.now()`. */
const EARLY_MS = 1;

/**
 * Calls back once per tick until stopped. Does not make up for ticks missed in a stall.
 *
 * Others rely on ticks not coming too soon. After any moment r, `count` ticks take more than
 * (count-2) * tickMs - EARLY_MS of this clock. The first may be one that was due before r and is
 * late. The next is due after the first has run, so after r; and each later one is due a whole tick
 * after the one before.
 */
export class Ticker {
  private readonly clock: Clock;
  private readonly tickMs: number;
  private readonly tick: () => void;
  private timer: TimerHandle;
  private nextTickMs: number;
  private stopped = false;

  constructor(clock: Clock, tickMs: number, tick: () => void) {
    this.clock = clock;
    this.tickMs = tickMs;
    this.tick = tick;
    this.nextTickMs = clock.now();
  }

  /** The least milliseconds between any moment and the last of `count` ticks after it. */
  static leastMs(count: number, tickMs: number): number {
    return Math.max(0, Math.floor((count - 2) * tickMs - EARLY_MS));
  }

  start(): void {
    const nowMs = this.clock.now();
    this.nextTickMs += this.tickMs;
    // Continues from now after a stall.
    if (this.nextTickMs <= nowMs) this.nextTickMs = nowMs + this.tickMs;
    this.wait(nowMs);
  }

  private wait(nowMs: number): void {
    const { clock } = this;
    this.timer = clock.setTimeout(() => {
      // Node counts from the start of the event loop's turn, so a timer set late in the turn fires
      // early.
      const firedMs = clock.now();
      if (firedMs < this.nextTickMs - EARLY_MS) {
        this.wait(firedMs);
        return;
      }
      // Expired timers run before waiting sockets are read: let heartbeats be seen first.
      clock.setImmediate(() => {
        if (this.stopped) return;
        this.tick();
        // After the tick: what the tick took in must not have happened after the next one is due.
        if (!this.stopped) this.start();
      });
    }, this.nextTickMs - nowMs);
  }

  stop(): void {
    this.stopped = true;
    this.clock.clearTimeout(this.timer);
  }
}
