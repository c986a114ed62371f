import { hash, MAGLEV_PLACES, maglevTable } from '../maglev.js';
import { weighty } from '../weights.js';
import type { Target } from './target.js';

/** Of the hash of a client's address: all nodes must have the same. */
const CLIENT_SEED = 0x73776172;

/** In which order to try targets, for each client. */
export class TargetOrder {
  readonly #targets: readonly Target[];
  /** The target that each place of a client's address leads to; empty without affinity. */
  readonly #places: readonly number[];
  readonly #weight: number;

  constructor(targets: readonly Target[], { hasAffinity }: { readonly hasAffinity: boolean }) {
    this.#targets = weighty(targets);
    const named = this.#targets.map(({ name, weight }, id) => ({ name, weight, id }));
    this.#places = hasAffinity ? maglevTable(named) : [];
    this.#weight = this.#targets.reduce((sum, { weight }) => sum + weight, 0);
  }

  get isEmpty(): boolean {
    return this.#targets.length === 0;
  }

  /**
   * A target by the client's address or at random, by weight, then the others after it, wrapping around.
   * @param random 0 ≤ x < 1
   */
  of(client: string, random: number, limit: number): Target[] {
    const targets = this.#targets;
    const start =
      this.#places.length > 0
        ? this.#places[hash(client, CLIENT_SEED) % MAGLEV_PLACES]!
        : this.#draw(random);
    return [...targets.slice(start), ...targets.slice(0, start)].slice(0, limit);
  }

  #draw(random: number): number {
    if (this.#weight === 0) return Math.floor(random * this.#targets.length);
    let left = random * this.#weight;
    const found = this.#targets.findIndex(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    return Math.max(0, found);
  }
}
