import type { Clock } from '@swarm/api';
import { ISOLATED_AFTER_MS } from './limits.js';
import { aborted, Signal } from './signal.js';

/**
 * Knows whether the node is cut off from all managers. With a manager, the agent reports a task that died
 * and the manager replaces it. Without one, nobody would, so the node restarts its own tasks and keeps
 * serving.
 */
export class Isolation {
  readonly #clock: Clock;
  readonly #changed = new Signal();
  #connected = false;
  #isForbidden = false;
  #lastContactMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastContactMs = clock.monotonicMs();
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Another daemon runs this node's tasks: until the next session, this one restarts none. */
  forbid(): void {
    this.#isForbidden = true;
  }

  setConnected(connected: boolean): void {
    this.#connected = connected;
    if (connected) this.#isForbidden = false;
    this.#lastContactMs = this.#clock.monotonicMs();
    this.#changed.fire();
  }

  /**
   * Waits until it is clear who acts: `connected` once there is a session, `isolated` after `delayMs` and at
   * least {@link ISOLATED_AFTER_MS} without one, `aborted` with the signal.
   */
  async verdict(
    delayMs: number,
    signal: AbortSignal,
  ): Promise<'connected' | 'isolated' | 'aborted'> {
    const startMs = this.#clock.monotonicMs();
    for (;;) {
      if (signal.aborted) return 'aborted';
      if (this.#connected) return 'connected';
      const dueMs = Math.max(startMs + delayMs, this.#lastContactMs + ISOLATED_AFTER_MS);
      const leftMs = dueMs - this.#clock.monotonicMs();
      if (leftMs <= 0 && !this.#isForbidden) return 'isolated';
      let timer: unknown;
      const timeout = new Promise<void>((resolve) => {
        if (!this.#isForbidden) timer = this.#clock.setTimeout(resolve, leftMs);
      });
      await Promise.race([timeout, this.#changed.next(), aborted(signal)]);
      this.#clock.clearTimeout(timer);
    }
  }
}
