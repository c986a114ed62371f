import { RaftConfigError } from '../core/config.js';
import type { RaftCore } from '../core/raw-node.js';
import type { Clock, TimerHandle } from './clock.js';

/**
 * Tells members of a commit that nothing else has carried to them for a while. Under load the next
 * Append carries it, and half of all messages are saved: no Append for the commit alone, no answer.
 */
export class CommitNews {
  private readonly core: RaftCore;
  private readonly clock: Clock;
  private readonly delayMs: number;
  private readonly wake: () => void;
  private timer: TimerHandle;

  /**
   * @param delayMs 0: the core tells of each commit at once, and there is nothing to do here
   * @param wake the core has something to send
   * @throws RaftConfigError
   */
  constructor(core: RaftCore, clock: Clock, delayMs: number, wake: () => void) {
    if (!(delayMs >= 0 && Number.isFinite(delayMs))) {
      throw new RaftConfigError(`commitDelayMs must be 0 or more milliseconds, not ${delayMs}`);
    }
    this.core = core;
    this.clock = clock;
    this.delayMs = delayMs;
    this.wake = wake;
  }

  /** After each turn. */
  look(): void {
    if (this.delayMs === 0 || this.timer !== undefined || !this.core.commitUntold) return;
    this.timer = this.clock.setTimeout(() => {
      this.timer = undefined;
      this.core.tellCommit();
      this.wake();
    }, this.delayMs);
  }

  stop(): void {
    this.clock.clearTimeout(this.timer);
  }
}
