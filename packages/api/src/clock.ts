/** A timer's handle; opaque. */
export type Timer = unknown;

/** Time, passed in so that tests and simulations control it. Milliseconds throughout. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. */
  now(): number;
  /** Never goes back; measures how long something takes. */
  monotonicMs(): number;
  setTimeout(callback: () => void, delayMs: number): Timer;
  clearTimeout(timer: Timer | undefined): void;
  setImmediate(callback: () => void): Timer;
}

/** Resolves after `delayMs` of the clock's time. */
export function pause(clock: Pick<Clock, 'setTimeout'>, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimeout(resolve, delayMs);
  });
}

/** The real clock. Timers do not keep the process alive by themselves when `unref` is set. */
export function systemClock(options: { unref?: boolean } = {}): Clock {
  return {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
    setTimeout(callback, delayMs) {
      const timer = setTimeout(callback, delayMs);
      if (options.unref === true) timer.unref();
      return timer;
    },
    clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
    setImmediate: (callback) => setImmediate(callback),
  };
}
