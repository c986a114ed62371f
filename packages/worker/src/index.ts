export { ProcessRuntime, type ProcessRuntimeOptions } from './runtime/process/process-runtime.js';
export * from './runtime/runtime.js';
export { RuntimeError, type RuntimeErrorReason } from './runtime/runtime-error.js';
