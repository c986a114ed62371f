export { FORWARDED_HEADER } from './gate.js';
export { API_LIMITS, type ApiLimits } from './limits.js';
export * from './manager-access.js';
export { ManagerApi, type ManagerApiOptions } from './manager-api.js';
