import { RaftConfigError } from '../core/config.js';
import type { RaftCore } from '../core/raw-node.js';
import type { Clock, TimerHandle } from './clock.js';

/**
 * Tells members of a commit that nothing else has carried to them for a while. Under load the next
 * Append carries it, which saves half of all messages: no Append for the commit alone, and no
 * answer to it.
 */
export class CommitNews {
  private readonly core: RaftCore;
  private readonly clock: Clock;
  private readonly delayMs: number;
  private readonly wake: () => void;
  private timer: TimerHandle;
  private due = false;

  /**
   * @param delayMs 0: the core announces each commit at once, and this class does nothing
   * @param wake asks for a turn, in which `tell` is called
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

  /**
   * Announces commits that have waited long enough. Call it in each turn, before the core's work.
   */
  tell(): void {
    if (!this.due) return;
    this.due = false;
    this.core.tellCommit();
  }

  /** Sets the timer if a commit waits. Call it at the end of each turn. */
  look(): void {
    if (this.delayMs === 0 || this.timer !== undefined || !this.core.commitUntold) return;
    this.timer = this.clock.setTimeout(() => {
      this.timer = undefined;
      this.due = true;
      this.wake();
    }, this.delayMs);
  }

  stop(): void {
    this.clock.clearTimeout(this.timer);
  }
}
