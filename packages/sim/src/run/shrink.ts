import type { RunPlan, RunResult, Simulator } from './simulator.js';

/** Runs that shrinking may take. */
export const SHRINK_LIMIT_RUNS = 400;

export interface Shrunk<Plan extends RunPlan> {
  readonly plan: Plan;
  readonly result: RunResult<Plan>;
  readonly runs: number;
}

/**
 * Looks for a smaller plan that violates the same invariant: fewer faults (by halves, quarters, …
 * down to single ones), and whatever else makes it simpler. Every concern draws from its own
 * stream, so leaving one out hardly moves the rest.
 */
export async function shrink<Plan extends RunPlan>(
  simulator: Simulator<Plan>,
  failed: RunResult<Plan>,
  onBetter: (plan: Plan) => void = () => undefined,
): Promise<Shrunk<Plan>> {
  const invariant = failed.failure!.invariant;
  let best = failed;
  let runs = 0;
  const attempt = async (plan: Plan): Promise<boolean> => {
    if (runs >= SHRINK_LIMIT_RUNS) return false;
    runs++;
    const result = await simulator.run(plan);
    if (result.failure?.invariant !== invariant) return false;
    best = result;
    onBetter(plan);
    return true;
  };

  const endMs = Math.ceil(failed.virtualMs);
  if (endMs < failed.plan.faultsMs) {
    const actions = failed.plan.actions.filter(({ atMs }) => atMs <= endMs);
    await attempt({ ...best.plan, actions, faultsMs: endMs + 1 });
  }
  await fewerActions(() => best.plan, attempt);
  for (const each of simulator.simplifications(best.plan)) await attempt(each.simplify(best.plan));
  await fewerActions(() => best.plan, attempt);
  return { plan: best.plan, result: best, runs };
}

/** Zeller's delta debugging, without the tests of single parts. */
async function fewerActions<Plan extends RunPlan>(
  current: () => Plan,
  attempt: (plan: Plan) => Promise<boolean>,
): Promise<void> {
  for (let size = current().actions.length; size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < current().actions.length; ) {
      const all = current().actions;
      const actions = [...all.slice(0, from), ...all.slice(from + size)];
      if (!(await attempt({ ...current(), actions }))) from += size;
    }
  }
}
