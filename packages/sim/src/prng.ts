/** `part` of `of`: a probability without floats, so that every platform draws alike. */
export interface Ratio {
  readonly part: number;
  readonly of: number;
}

export const NEVER: Ratio = { part: 0, of: 1 };

export function ratio(part: number, of: number): Ratio {
  return { part, of };
}

const WARM_UP_DRAWS = 12;

/**
 * The simulation's only source of randomness (sfc32, Chris Doty-Humphrey's PractRand). Each concern
 * draws from its own stream, so that leaving out one fault while shrinking does not move the
 * others.
 */
export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  /** @param seed an integer, 0 to 2^53-1 */
  constructor(seed: number, stream: string) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < stream.length; i++) {
      hash = Math.imul(hash ^ stream.charCodeAt(i), 0x01000193);
    }
    this.#a = seed >>> 0;
    this.#b = Math.floor(seed / 2 ** 32) >>> 0;
    this.#c = hash >>> 0;
    for (let i = 0; i < WARM_UP_DRAWS; i++) this.u32();
  }

  u32(): number {
    const sum = (this.#a + this.#b + this.#count) >>> 0;
    this.#count = (this.#count + 1) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) >>> 0;
    return sum;
  }

  /** Uniform in [0, limit); `limit` from 1 to 2^32. */
  below(limit: number): number {
    return Math.floor((this.u32() * limit) / 2 ** 32);
  }

  /** Uniform in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance({ part, of }: Ratio): boolean {
    return part > 0 && this.below(of) < part;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  shuffle<T>(items: readonly T[]): T[] {
    const all = [...items];
    for (let i = all.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [all[i], all[j]] = [all[j]!, all[i]!];
    }
    return all;
  }

  /** Mostly near `mean`, one in sixteen much later: the shape of delays, in whole numbers. */
  delay(mean: number): number {
    const spread = this.below(2 * mean + 1);
    return this.below(16) === 0 ? spread * 4 : spread;
  }

  /** Uniform in [0, 1), for code that asks for `random`; exact, as 32 bits fit a double. */
  readonly fraction = (): number => this.u32() / 2 ** 32;
}
