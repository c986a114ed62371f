export type { LocalManager, Start } from './assembly/local-manager.js';
export * from './api/index.js';
export * from './ca/index.js';
export * from './control-loop.js';
export * from './store/store.js';
