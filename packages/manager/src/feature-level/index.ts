export { createFeatureLevel } from './feature-level.js';
export { countsAsManager, type ManagerLevel, managerLevel } from './manager-levels.js';
