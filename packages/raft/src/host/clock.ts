/** A running timer; opaque. */
export type TimerHandle = unknown;

/** The host's only sense of time; a simulator passes its own. */
export interface Clock {
  /** Milliseconds from an arbitrary start; never falls. */
  now(): number;
  setTimeout(callback: () => void, ms: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
  /** Runs the callback after the events that already wait on sockets and disks. */
  setImmediate(callback: () => void): void;
}

/** The clock of the process, for nodes and transports. */
export function systemClock(): Clock & { monotonicMs(): number } {
  return {
    now: () => performance.now(),
    monotonicMs: () => performance.now(),
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
    setImmediate: (callback) => {
      setImmediate(callback);
    },
  };
}
