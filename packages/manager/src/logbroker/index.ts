export * from './log-broker.js';
export type { LogItem } from './log-stream.js';
export * from './selector.js';
