export * from './control-loop.js';
export * from './store/store.js';
