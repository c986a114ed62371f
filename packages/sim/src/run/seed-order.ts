import type { RunPlan, Simulator } from './simulator.js';

/** The order of plans: seeds ascending from `from`, of one profile or of all in turn. */
export interface SeedOrder {
  readonly from: number;
  /** `all`: every profile in turn. */
  readonly profile: string;
}

/** Runs `first` to `first + count - 1` of an order; the very first is number 0. */
export interface SeedBatch {
  readonly first: number;
  readonly count: number;
}

export function planAt<Plan extends RunPlan>(
  simulator: Simulator<Plan>,
  { from, profile }: SeedOrder,
  number: number,
): Plan {
  const { profiles } = simulator;
  const chosen = profile === 'all' ? profiles[number % profiles.length]! : profile;
  return simulator.makePlan(from + number, chosen);
}

/** For example `seeds 4711 to 4726`. */
export function describeBatch({ from }: SeedOrder, { first, count }: SeedBatch): string {
  return `seeds ${from + first} to ${from + first + count - 1}`;
}
