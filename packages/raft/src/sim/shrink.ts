import { ReadMode } from '../core/config.js';
import { NEVER } from './prng.js';
import type { FaultAction, Plan } from './plan.js';
import { type RunResult, runPlan } from './simulation.js';

/** Runs that shrinking may take. */
export const SHRINK_LIMIT_RUNS = 400;

export interface Shrunk {
  readonly plan: Plan;
  readonly result: RunResult;
  readonly runs: number;
}

/**
 * Looks for a smaller plan that fails the same invariant: fewer faults (by halves, quarters, … down to
 * single ones), a sound network, fewer clients, keys and members, default limits. As every concern
 * draws from a stream of its own, leaving one out hardly moves the rest.
 */
export async function shrink(
  failed: RunResult,
  onBetter: (plan: Plan) => void = () => undefined,
): Promise<Shrunk> {
  const invariant = failed.failure!.invariant;
  let best = failed;
  let runs = 0;
  const attempt = async (plan: Plan): Promise<boolean> => {
    if (runs >= SHRINK_LIMIT_RUNS) return false;
    runs++;
    const result = await runPlan(plan);
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
  for (const simpler of simplifications(best.plan)) await attempt({ ...best.plan, ...simpler });
  const { network } = best.plan;
  for (const name of ['loss', 'duplicate', 'replay', 'reorder', 'chunkLoss', 'notice'] as const) {
    await attempt({ ...best.plan, network: { ...best.plan.network, [name]: NEVER } });
  }
  if (network.encode) {
    await attempt({ ...best.plan, network: { ...best.plan.network, encode: false } });
  }
  for (const name of Object.keys(best.plan.limits)) {
    const limits = Object.entries(best.plan.limits).filter(([key]) => key !== name);
    await attempt({ ...best.plan, limits: Object.fromEntries(limits) });
  }
  await fewerActions(() => best.plan, attempt);
  return { plan: best.plan, result: best, runs };
}

/** Zeller's delta debugging, without the tests of single parts. */
async function fewerActions(
  current: () => Plan,
  attempt: (plan: Plan) => Promise<boolean>,
): Promise<void> {
  for (let size = current().actions.length; size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < current().actions.length; ) {
      const all: readonly FaultAction[] = current().actions;
      const actions = [...all.slice(0, from), ...all.slice(from + size)];
      if (!(await attempt({ ...current(), actions }))) from += size;
    }
  }
}

function simplifications(plan: Plan): Partial<Plan>[] {
  const all: Partial<Plan>[] = [
    { driftPpm: 0 },
    { readMode: ReadMode.Quorum },
    { writesInFlight: 1 },
    { paddingBytes: 0 },
    { keys: 1 },
  ];
  for (let clients = 1; clients < plan.clients; clients++) all.push({ clients });
  for (let members = 1; members < plan.members; members++) all.push({ members });
  return all;
}
