export * from './backup-objects.js';
export * from './check-backup.js';
export * from './force.js';
export * from './inspect.js';
export * from './install-backup.js';
export { type DumpedEntry, describeEntry } from './log-entry.js';
export type { RaftAccess, RecoveryControl, RestoreRequest } from './recovery-control.js';
export * from './take-over.js';
