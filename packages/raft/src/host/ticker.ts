import type { Clock, TimerHandle } from './clock.js';

/** Calls back once a tick until it is stopped. Ticks missed in a stall are not made up for. */
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

  start(): void {
    const { clock } = this;
    const nowMs = clock.now();
    this.nextTickMs += this.tickMs;
    // After a stall, go on from now.
    if (this.nextTickMs <= nowMs) this.nextTickMs = nowMs + this.tickMs;
    this.timer = clock.setTimeout(() => {
      // Expired timers run before waiting sockets are read: let heartbeats be seen first.
      clock.setImmediate(() => {
        if (this.stopped) return;
        this.start();
        this.tick();
      });
    }, this.nextTickMs - nowMs);
  }

  stop(): void {
    this.stopped = true;
    this.clock.clearTimeout(this.timer);
  }
}
