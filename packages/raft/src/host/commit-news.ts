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
  private due = false;

  /**
   * @param delayMs 0: the core tells of each commit at once, and there is nothing to do here
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

  /** In each turn, before the core's work: tells what has waited long enough. */
  tell(): void {
    if (!this.due) return;
    this.due = false;
    this.core.tellCommit();
  }

  /** At the end of each turn: whether there is something to wait for. */
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
