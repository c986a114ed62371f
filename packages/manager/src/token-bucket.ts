/** How much may be spent at once, and how fast it comes back. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * A budget that comes back with time. It begins full. What is spent at once may go beyond what is there; the
 * next one then waits until the debt is paid.
 */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #atMs: number;

  /** @param nowMs a clock that never goes back */
  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#atMs = nowMs;
  }

  spend(amount: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= amount;
  }

  /** Whether something may be spent now. */
  has(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= 1;
  }

  /** Milliseconds, rounded up, until something may be spent again; 0 when it may now. */
  waitMs(nowMs: number): number {
    if (this.has(nowMs)) return 0;
    return Math.ceil(((1 - this.#tokens) / this.#rate.perSecond) * 1000);
  }

  /** Whether nothing is left to wait for: it is as if it was new. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#rate.burst;
  }

  #refill(nowMs: number): void {
    const back = ((nowMs - this.#atMs) / 1000) * this.#rate.perSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + back);
    this.#atMs = nowMs;
  }
}
