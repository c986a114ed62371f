/** How much can be spent at once, and how fast it refills. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * A budget that refills with time. It starts full. One spending may exceed what is left; the next one then
 * waits until the debt is paid.
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

  /** Whether anything can be spent now. */
  has(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= 1;
  }

  /** Milliseconds, rounded up, until something can be spent again; 0 for now. */
  waitMs(nowMs: number): number {
    if (this.has(nowMs)) return 0;
    return Math.ceil(((1 - this.#tokens) / this.#rate.perSecond) * 1000);
  }

  /** Whether the bucket is full, like a new one. */
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
