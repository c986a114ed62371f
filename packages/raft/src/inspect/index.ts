export * from './describe-change.js';
export { type LogReport, readLog } from './read-log.js';
export { databaseHolder } from './store-lock.js';
