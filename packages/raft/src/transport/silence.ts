import type { TransportClock } from './environment.js';

/** Notices when nothing was heard for too long. */
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

  /** Begins anew to wait. */
  heard(): void {
    this.stop();
    const { sounds } = this;
    this.timer = this.clock.setTimeout(() => {
      // When this process itself stood still, what came meanwhile is yet to be read.
      this.clock.setImmediate(() => {
        if (this.sounds === sounds) this.noticed();
      });
    }, this.limitMs);
  }

  /** Nothing is expected. */
  stop(): void {
    this.sounds++;
    this.clock.clearTimeout(this.timer);
  }
}
