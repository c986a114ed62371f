interface Waiter {
  /** Undefined: not yet. */
  readonly check: () => unknown;
  readonly deadlineMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly late: () => Error;
}

/** Callers that wait until something is true of the node; looked at after each turn of its loop. */
export class Conditions {
  private waiters: Waiter[] = [];

  /**
   * Resolves with the first value of `check` that is not undefined.
   * @throws what `check` throws, or `late()` after the deadline.
   */
  until<T>(check: () => T | undefined, deadlineMs: number, late: () => Error): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.waiters.push({
        check,
        deadlineMs,
        resolve: resolve as (value: unknown) => void,
        reject,
        late,
      });
    });
  }

  run(nowMs: number): void {
    if (this.waiters.length === 0) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) {
      try {
        const value = waiter.check();
        if (value !== undefined) waiter.resolve(value);
        else if (nowMs >= waiter.deadlineMs) waiter.reject(waiter.late());
        else this.waiters.push(waiter);
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  rejectAll(error: Error): void {
    const waiters = this.waiters;
    this.waiters = [];
    for (const { reject } of waiters) reject(error);
  }
}
