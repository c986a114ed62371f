export * from './apply.js';
export * from './batches.js';
export { Codec, CommandFormatError } from './command.js';
export * from './kinds.js';
export * from './memory-state.js';
export * from './proposal-error.js';
export * from './replicated-store.js';
export * from './store.js';
export * from './state-machine.js';
