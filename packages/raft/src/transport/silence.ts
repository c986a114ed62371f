import type { TransportClock } from './environment.js';

/** Detects that nothing was heard for too long. */
export class Silence {
  private readonly clock: TransportClock;
  private readonly limitMs: number;
  private readonly noticed: () => void;
  private timer: unknown;
  /** Counts what was heard. */
  private sounds = 0;

  constructor(clock: TransportClock, limitMs: number, noticed: () => void) {
    this.clock = clock;
    this.limitMs = limitMs;
    this.noticed = noticed;
  }

  /** Restarts the wait. */
  heard(): void {
    this.stop();
    const { sounds } = this;
    this.timer = this.clock.setTimeout(() => {
      // After a stall of this process, what arrived meanwhile is still unread.
      this.clock.setImmediate(() => {
        if (this.sounds === sounds) this.noticed();
      });
    }, this.limitMs);
  }

  /** Stops: nothing is expected. */
  stop(): void {
    this.sounds++;
    this.clock.clearTimeout(this.timer);
  }
}
