import { isTaskOffset, type Subnet, TASK_OFFSET_FIRST, taskOffsetLast } from '@swarm/api';

/**
 * How long a freed address rests, milliseconds, as long as the pool has another one to give: old
 * connections and neighbours' caches may still know its last holder.
 */
export const ADDRESS_REST_MS = 60_000;

/** Freed addresses that a pool remembers before it reuses rested ones: a large subnet would never come to that. */
export const FREED_ADDRESSES_LIMIT = 4096;

/**
 * The addresses of one subnet, or of a range in it: who holds them, and when the others were freed. Reuses addresses as late as
 * possible: gives first those that no known task had, then the one that was freed first. Beyond
 * `FREED_ADDRESSES_LIMIT` the one that was freed first goes before, once it has rested.
 *
 * Invariant: each address is held, or freed, or at most `#ahead` steps from `#next`. Each step over an
 * address that is not free pays for one earlier `hold` or `release`, so `take` is constant amortized.
 */
export class AddressPool {
  readonly subnet: Subnet;
  /** Holders by offset. Two tasks hold one address only when the store already says so. */
  readonly #holders = new Map<number, Set<string>>();
  /** Time at which each was freed, the oldest first. */
  readonly #freed = new Map<number, number>();
  readonly #knownSinceMs: number;
  readonly #first: number;
  readonly #last: number;
  #next: number;
  #ahead: number;

  /**
   * @param knownSinceMs addresses freed before this time may be missing
   * @param range a part of the subnet: only its addresses are given
   */
  constructor(subnet: Subnet, knownSinceMs: number, range: Subnet = subnet) {
    this.subnet = subnet;
    this.#knownSinceMs = knownSinceMs;
    const offset = Number(range.first - subnet.first);
    this.#first = Math.max(TASK_OFFSET_FIRST, offset);
    this.#last = Math.min(taskOffsetLast(subnet), offset + range.size - 1);
    this.#next = this.#first;
    this.#ahead = this.size;
  }

  /** How many addresses can be held. */
  get size(): number {
    return Math.max(0, this.#last - this.#first + 1);
  }

  get hasRoom(): boolean {
    return this.#holders.size < this.size;
  }

  holders(offset: number): ReadonlySet<string> | undefined {
    return this.#holders.get(offset);
  }

  /** Gives the holder an address; undefined when none is free. */
  take(holder: string, nowMs: number): number | undefined {
    const [oldest] = this.#freed;
    const isRested = oldest !== undefined && nowMs - oldest[1] >= ADDRESS_REST_MS;
    // An address ahead may have been freed just before this pool was made; a rested one is certain.
    const isUnsure = nowMs - this.#knownSinceMs < ADDRESS_REST_MS;
    const isCrowded = this.#freed.size > FREED_ADDRESSES_LIMIT;
    const reuses = isRested && (isUnsure || isCrowded);
    const offset = (reuses ? undefined : this.#step()) ?? oldest?.[0] ?? this.#step();
    if (offset !== undefined) this.hold(offset, holder);
    return offset;
  }

  /** Records that the holder has the address. Ignores addresses that this pool does not give. */
  hold(offset: number, holder: string): void {
    if (!this.#isOurs(offset)) return;
    const holders = this.#holders.get(offset);
    if (holders !== undefined) {
      holders.add(holder);
      return;
    }
    this.#holders.set(offset, new Set([holder]));
    this.#freed.delete(offset);
  }

  release(offset: number, holder: string, nowMs: number): void {
    const holders = this.#holders.get(offset);
    if (holders?.delete(holder) !== true || holders.size > 0) return;
    this.#holders.delete(offset);
    this.#freed.set(offset, nowMs);
  }

  /**
   * Takes in what is known from before the pool was made. Call it once, after every `hold`.
   * @param freed offsets with the times they were freed, in any order, by clocks that may be ahead
   * @param newest offset of the address given last
   */
  recall(
    freed: readonly (readonly [offset: number, atMs: number])[],
    newest: number,
    nowMs: number,
  ): void {
    for (const [offset, atMs] of [...freed].sort(([, a], [, b]) => a - b)) {
      if (this.#holders.has(offset) || !this.#isOurs(offset)) continue;
      this.#freed.delete(offset);
      this.#freed.set(offset, Math.min(atMs, nowMs));
    }
    if (this.#isOurs(newest)) this.#next = this.#after(newest);
  }

  #step(): number | undefined {
    while (this.#ahead > 0) {
      const offset = this.#next;
      this.#next = this.#after(offset);
      this.#ahead -= 1;
      if (!this.#holders.has(offset) && !this.#freed.has(offset)) return offset;
    }
    return undefined;
  }

  #after(offset: number): number {
    return offset === this.#last ? this.#first : offset + 1;
  }

  #isOurs(offset: number): boolean {
    return isTaskOffset(this.subnet, offset) && offset >= this.#first && offset <= this.#last;
  }
}
