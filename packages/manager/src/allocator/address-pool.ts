import { isTaskOffset, type Subnet, TASK_OFFSET_FIRST, taskOffsetLast } from '@swarm/api';

/**
 * How long an address rests after it was freed, milliseconds, as long as another one can be given: old
 * connections and neighbours' caches may still know its last holder.
 */
export const ADDRESS_REST_MS = 60_000;

/**
 * The addresses of one subnet: who holds them, and when the others were freed. Addresses are reused as late
 * as possible: first those that nobody had as far as is known, then the one that was freed first.
 *
 * Invariant: each address is held, or freed, or still ahead of `#next`, and what is ahead counts `#ahead`
 * steps at most. Every step of the cost is paid for by a holder that came or went before.
 */
export class AddressPool {
  readonly subnet: Subnet;
  /** Holders by offset. Two hold one address only where the store says so already. */
  readonly #holders = new Map<number, Set<string>>();
  /** When each was freed, the oldest first. */
  readonly #freed = new Map<number, number>();
  readonly #knownSinceMs: number;
  #next = TASK_OFFSET_FIRST;
  #ahead: number;

  /** @param knownSinceMs what was freed before this time is not known */
  constructor(subnet: Subnet, knownSinceMs: number) {
    this.subnet = subnet;
    this.#knownSinceMs = knownSinceMs;
    this.#ahead = this.size;
  }

  /** How many addresses can be held. */
  get size(): number {
    return Math.max(0, taskOffsetLast(this.subnet) - TASK_OFFSET_FIRST + 1);
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
    // What is ahead may have been freed just before this pool was made; what has rested has surely rested.
    const isUnsure = nowMs - this.#knownSinceMs < ADDRESS_REST_MS;
    const offset = (isRested && isUnsure ? undefined : this.#step()) ?? oldest?.[0] ?? this.#step();
    if (offset !== undefined) this.hold(offset, holder);
    return offset;
  }

  /** Notes that the holder has the address, whoever gave it. Does nothing for one that no task can have. */
  hold(offset: number, holder: string): void {
    if (!isTaskOffset(this.subnet, offset)) return;
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
   * What was known before the pool was made: call it once, after `hold`.
   * @param freed offsets with the times at which they were freed, in any order, by clocks that may be ahead
   * @param newest the address given last
   */
  recall(
    freed: readonly (readonly [offset: number, atMs: number])[],
    newest: number,
    nowMs: number,
  ): void {
    for (const [offset, atMs] of [...freed].sort(([, a], [, b]) => a - b)) {
      if (this.#holders.has(offset) || !isTaskOffset(this.subnet, offset)) continue;
      this.#freed.delete(offset);
      this.#freed.set(offset, Math.min(atMs, nowMs));
    }
    if (isTaskOffset(this.subnet, newest)) this.#next = this.#after(newest);
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
    return offset === taskOffsetLast(this.subnet) ? TASK_OFFSET_FIRST : offset + 1;
  }
}
