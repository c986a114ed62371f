export { mergeTraces } from './merge.js';
export { TraceChecker } from './trace-checker.js';
export { TraceViolation } from './violation.js';
