import type { Simulator } from '@swarm/sim';
import { describePlan } from './describe-plan.js';
import { MARKS } from './marks.js';
import { makePlan, type Plan, PROFILES } from './plan.js';
import { simplifications } from './simplifications.js';
import { runPlan } from './simulation.js';

/** Whole Raft groups. Child processes load it by this name. */
export const simulator: Simulator<Plan> = {
  profiles: PROFILES,
  marks: MARKS,
  makePlan,
  run: (plan, trace) => runPlan(plan, trace),
  describe: describePlan,
  simplifications,
};
