import { makePlan, type Plan, PROFILES, type Profile } from './plan.js';

/** Which plan comes when: seeds in order from `from`, of one profile or of all in turn. */
export interface SeedOrder {
  readonly from: number;
  readonly profile: Profile | 'all';
}

/** Runs `first` to `first + count - 1` of an order; the first of all is number 0. */
export interface SeedBatch {
  readonly first: number;
  readonly count: number;
}

export function planAt({ from, profile }: SeedOrder, number: number): Plan {
  const chosen = profile === 'all' ? PROFILES[number % PROFILES.length]! : profile;
  return makePlan(from + number, chosen);
}

/** For example `seeds 4711 to 4726`. */
export function describeBatch({ from }: SeedOrder, { first, count }: SeedBatch): string {
  return `seeds ${from + first} to ${from + first + count - 1}`;
}
