/** A running timer; opaque. */
export type TimerHandle = unknown;

/** The host's only sense of time; a simulator passes its own. */
export interface Clock {
  /** Milliseconds from an arbitrary start, never falling. */
  now(): number;
  setTimeout(callback: () => void, ms: number): TimerHandle;
  clearTimeout(handle: TimerHandle): void;
  /** Runs the callback once the events already waiting on sockets and disks were seen. */
  setImmediate(callback: () => void): void;
}

/** The process's own clock, for nodes and for transports. */
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
