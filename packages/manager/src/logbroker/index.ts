export * from './log-broker.js';
export type { LogItem, LogRequest, PiecePlace, TaskPlace } from './log-item.js';
export { LEADER_LOGS_PATH, leaderLogs, readLogRequest, type ReplyBody } from './log-wire.js';
export * from './selector.js';
