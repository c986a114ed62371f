export * from './ca-server.js';
export * from './issue.js';
export * from './root.js';
