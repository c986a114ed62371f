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
  /** Nobody looks any more. */
  private over: Error | undefined;

  /**
   * Resolves with the first value of `check` that is not undefined.
   * @throws what `check` throws, `late()` after the deadline, or what `rejectAll` was told.
   */
  until<T>(check: () => T | undefined, deadlineMs: number, late: () => Error): Promise<T> {
    if (this.over !== undefined) return Promise.reject(this.over);
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

  /** All that wait fail, and whoever comes later. */
  rejectAll(error: Error): void {
    this.over = error;
    const waiters = this.waiters;
    this.waiters = [];
    for (const { reject } of waiters) reject(error);
  }
}
