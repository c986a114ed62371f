export { type SimulateCommand, usageOf } from './command/options.js';
export { simulate } from './command/main.js';
export * from './disk/content.js';
export type {
  Database,
  DatabaseOptions,
  OpenDatabase,
  Operation as DatabaseOperation,
} from './disk/database.js';
export type { FileSystem, Folder, NewFile } from './disk/file-system.js';
export { type DiskTime, SimFiles } from './disk/files.js';
export { type DatabaseMark, simulatedLevel } from './disk/level-database.js';
export * from './disk/level-files.js';
export * from './disk/log-format.js';
export { History, type NewOperation, type Operation, Outcome } from './history/history.js';
export { checkLinearizable, SEARCH_LIMIT_STEPS, Verdict } from './history/linearizability.js';
export {
  decodeCommand,
  encodeCommand,
  execute,
  OpKind,
  type RegisterCommand,
  type RegisterResult,
} from './history/register.js';
export * from './network/network.js';
export { NEVER, Prng, type Ratio, ratio } from './prng.js';
export { type BatchOptions, type BatchReport, type FailedRun, runBatch } from './run/batch.js';
export { Coverage, type Marks } from './run/coverage.js';
export { Digest } from './run/digest.js';
export { type BatchRunner, ChildRunner, LocalRunner } from './run/runner.js';
export { planAt, type SeedBatch, type SeedOrder } from './run/seed-order.js';
export { shrink, type Shrunk } from './run/shrink.js';
export type {
  LineSink,
  RunPlan,
  RunResult,
  Simplification,
  Simulator,
  TimedAction,
} from './run/simulator.js';
export { spread, type SpreadOptions, type SpreadOutcome } from './run/spread.js';
export { type Tally, Totals } from './run/totals.js';
export { require, Violation } from './run/violation.js';
export { SimProcess } from './time/process.js';
export { nodesOwnDrain, runSteps } from './time/promise-jobs.js';
export { type ClockEvent, settle, VirtualClock } from './time/virtual-clock.js';
export { until, type WaitLimits } from './time/wait.js';
