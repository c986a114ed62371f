export * from './can-demote.js';
export * from './make-worker.js';
export * from './remove-node.js';
export * from './role-manager.js';
