export * from './backup-objects.js';
export * from './check-backup.js';
export * from './force.js';
export * from './inspect.js';
export * from './install-backup.js';
export { type DumpedEntry, describeEntry } from './log-entry.js';
export type { RaftAccess } from './raft-access.js';
export * from './take-over.js';
