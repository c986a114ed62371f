/** Lets something happen so often a second on average, and so often at once. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs: number;

  /** It begins full. */
  constructor({ perSecond, burst }: { perSecond: number; burst: number }, nowMs: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#atMs = nowMs;
  }

  /** Whether one may happen now. */
  has(nowMs: number): boolean {
    return this.#fill(nowMs) >= 1;
  }

  /** Whether nothing is left to wait for: it is as if it was new. */
  isFull(nowMs: number): boolean {
    return this.#fill(nowMs) >= this.#burst;
  }

  /** One happened. */
  take(nowMs: number): void {
    this.#fill(nowMs);
    this.#tokens -= 1;
  }

  #fill(nowMs: number): number {
    const gained = ((nowMs - this.#atMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#atMs = nowMs;
    return this.#tokens;
  }
}
