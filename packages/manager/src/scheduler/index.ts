export * from './constraint.js';
export { createScheduler } from './scheduler.js';
