export * from './can-demote.js';
export * from './make-worker.js';
export * from './membership.js';
export * from './remove-node.js';
export * from './role-change.js';
export * from './role-manager.js';
export * from './role-notes.js';
