import type { ClockEvent, VirtualClock } from './virtual-clock.js';

/**
 * Where a callback of a process comes from; after a pause, expired timers come before everything
 * else.
 */
type Origin = 'timer' | 'other';

/**
 * One run of an operating-system process. It can be paused (SIGSTOP, a VM that is moved) and it can
 * die, after which nothing of it ever runs again. Its clock may run fast or slow and jump forward;
 * it never goes back, as a monotonic clock does not.
 */
export class SimProcess {
  alive = true;
  paused = false;
  /** How much its clock gains (or loses), in parts per million. */
  driftPpm: number;
  readonly #clock: VirtualClock;
  /** Called with each callback that runs, so that its changes are checked. */
  readonly #onRun: () => void;
  readonly #bornUs: number;
  #jumpedMs = 0;
  #lastMs = 0;
  #backlog: { readonly origin: Origin; readonly run: () => void }[] = [];

  constructor(clock: VirtualClock, driftPpm: number, onRun: () => void) {
    this.#clock = clock;
    this.driftPpm = driftPpm;
    this.#onRun = onRun;
    this.#bornUs = clock.nowUs;
  }

  // --- Clock

  now(): number {
    const livedMs = (this.#clock.nowUs - this.#bornUs) / 1000;
    const localMs = livedMs * (1 + this.driftPpm / 1e6) + this.#jumpedMs;
    this.#lastMs = Math.max(this.#lastMs, localMs);
    return this.#lastMs;
  }

  monotonicMs(): number {
    return this.now();
  }

  setTimeout(callback: () => void, ms: number): ClockEvent {
    const delayUs = (Math.max(0, ms) * 1000) / (1 + this.driftPpm / 1e6);
    return this.#clock.after(delayUs, () => this.enter(callback, 'timer'));
  }

  clearTimeout(handle: unknown): void {
    if (handle !== undefined) (handle as ClockEvent).cancelled = true;
  }

  setImmediate(callback: () => void): void {
    this.after(0, callback);
  }

  // --- Control

  /** Runs `callback` in this process after this much real (not local) time, if it still lives. */
  after(delayUs: number, callback: () => void): ClockEvent {
    return this.#clock.after(delayUs, () => this.enter(callback));
  }

  /** Resolves after real time has passed; never, if the process dies first. */
  sleep(delayUs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayUs, resolve));
  }

  /** Runs the callback now, or after the pause, or never. */
  enter(run: () => void, origin: Origin = 'other'): void {
    if (!this.alive) return;
    if (this.paused) {
      this.#backlog.push({ origin, run });
      return;
    }
    this.#onRun();
    run();
  }

  jump(ms: number): void {
    this.#jumpedMs += ms;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    const backlog = this.#backlog;
    this.#backlog = [];
    for (const wanted of ['timer', 'other'] as const) {
      for (const { origin, run } of backlog) {
        if (origin === wanted) this.#clock.after(0, () => this.enter(run, origin));
      }
    }
  }

  kill(): void {
    this.alive = false;
    this.#backlog = [];
  }
}
