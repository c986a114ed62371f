export { createFeatureLevel } from './feature-level.js';
export { type ManagerLevel, managerLevel } from './manager-levels.js';
