export * from './can-demote.js';
export * from './remove-node.js';
export * from './role-manager.js';
