interface Waiter {
  /** Undefined while the condition does not hold. */
  readonly check: () => unknown;
  readonly deadlineMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly late: () => Error;
}

/** Callers that wait until something holds for the node. The loop checks them after each turn. */
export class Conditions {
  private waiters: Waiter[] = [];
  /** Set once nobody checks any more. */
  private over: Error | undefined;

  /**
   * Resolves with the first value of `check` that is not undefined.
   * @throws what `check` throws, `late()` after the deadline, or the error given to `rejectAll`
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

  /** Fails all waiters, and every later one. */
  rejectAll(error: Error): void {
    this.over = error;
    const waiters = this.waiters;
    this.waiters = [];
    for (const { reject } of waiters) reject(error);
  }
}
