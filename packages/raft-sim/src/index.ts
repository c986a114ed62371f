export { type Bug, BUGS } from './bug-bank.js';
export { findBug } from './bug-lab.js';
export { makePlan, type Plan, PROFILES, type Profile } from './plan.js';
export { runPlan } from './simulation.js';
export { simulator } from './simulator.js';
