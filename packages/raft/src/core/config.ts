import type { MemberId } from './types.js';

/** How one member's core behaves. Every number is a positive integer unless said otherwise. */
export interface RaftConfig {
  readonly id: MemberId;
  /** Ticks without a leader before an election; each wait is drawn from [E, 2E-1]. */
  readonly electionTicks: number;
  /** Ticks between a leader's heartbeats; below `electionTicks`. */
  readonly heartbeatTicks: number;
  /** Uniform in [0, 1). The core's only source of chance. */
  readonly random: () => number;
  /** An Append holds entries up to this size, but at least one entry. */
  readonly maxBytesPerMessage: number;
  /** Appends on their way to one follower. */
  readonly maxInflightMessages: number;
  /** Bytes of entries on their way to one follower; at least `maxBytesPerMessage`. */
  readonly maxInflightBytes: number;
  /** Bytes proposed by this leader and not committed; beyond it proposals are refused. */
  readonly maxUncommittedBytes: number;
  /** Bytes of entries handed out by one `ready` to be applied, but at least one entry. */
  readonly maxApplyBytes: number;
  /**
   * How members learn of a commit. `at-once`: by a message of its own if nothing else goes their way.
   * `carried`: by whatever goes next; the caller sees `commitUntold` and says when it has waited long
   * enough (`tellCommit`).
   */
  readonly commitNews: 'at-once' | 'carried';
  /** How a leader proves that it still is one before a read. */
  readonly readMode: ReadMode;
  /** What clocks gain or lose against true time at most, parts per million; for leases. */
  readonly maxClockDriftPpm: number;
  /**
   * For so many milliseconds of its own clock, at least, `electionTicks` ticks take this member: what
   * it promises a leader it hears (promise.ts). 0: it promises nothing, and no lease counts on it.
   */
  readonly promiseMs: number;
}

export const ReadMode = {
  /** A round of heartbeats for the reads that wait. */
  Quorum: 'quorum',
  /** Nothing while a lease lasts (lease.ts), else as in `quorum`. */
  Lease: 'lease',
} as const;
export type ReadMode = (typeof ReadMode)[keyof typeof ReadMode];

/** Beyond it a lease would be shorter than a third of the promise, and clocks are broken. */
const MAX_DRIFT_PPM = 500_000;
/** A promise is up to two ticks shorter than the election timeout (host/ticker.ts). */
const PROMISE_SLACK_TICKS = 2;

/** Defaults that suit a tick of 100 ms: etcd's numbers, with the windows bounded in bytes too. */
export const DEFAULT_CONFIG = {
  electionTicks: 10,
  heartbeatTicks: 1,
  maxBytesPerMessage: 256 * 1024,
  maxInflightMessages: 256,
  maxInflightBytes: 8 * 1024 * 1024,
  maxUncommittedBytes: 32 * 1024 * 1024,
  maxApplyBytes: 1024 * 1024,
  commitNews: 'at-once',
  readMode: ReadMode.Quorum,
  maxClockDriftPpm: 50_000,
  promiseMs: 0,
} as const satisfies Omit<RaftConfig, 'id' | 'random'>;

/** An option that cannot work; the message names it and says what it must be. */
export class RaftConfigError extends Error {
  readonly code = 'RAFT_CONFIG';
}

const POSITIVE = [
  'id',
  'electionTicks',
  'heartbeatTicks',
  'maxBytesPerMessage',
  'maxInflightMessages',
  'maxInflightBytes',
  'maxUncommittedBytes',
  'maxApplyBytes',
] as const;

/** @throws RaftConfigError */
export function validate(config: RaftConfig): void {
  for (const name of POSITIVE) {
    if (!Number.isSafeInteger(config[name]) || config[name] <= 0) {
      throw new RaftConfigError(`${name} must be a positive integer, not ${String(config[name])}`);
    }
  }
  if (config.electionTicks <= config.heartbeatTicks) {
    throw new RaftConfigError('electionTicks must be greater than heartbeatTicks');
  }
  if (config.maxInflightBytes < config.maxBytesPerMessage) {
    throw new RaftConfigError('maxInflightBytes must be at least maxBytesPerMessage');
  }
  if (!Number.isSafeInteger(config.promiseMs) || config.promiseMs < 0) {
    throw new RaftConfigError(`promiseMs must be 0 or more, not ${String(config.promiseMs)}`);
  }
  validateReads(config);
}

function validateReads({ readMode, maxClockDriftPpm, electionTicks, heartbeatTicks }: RaftConfig) {
  if (!Object.values(ReadMode).includes(readMode)) {
    throw new RaftConfigError(`readMode must be quorum or lease, not ${String(readMode)}`);
  }
  const drifts = Number.isSafeInteger(maxClockDriftPpm) && maxClockDriftPpm >= 0;
  if (!drifts || maxClockDriftPpm > MAX_DRIFT_PPM) {
    throw new RaftConfigError(
      `maxClockDriftPpm must be 0 to ${MAX_DRIFT_PPM}, not ${String(maxClockDriftPpm)}`,
    );
  }
  if (readMode === ReadMode.Lease && electionTicks <= heartbeatTicks + PROMISE_SLACK_TICKS) {
    throw new RaftConfigError(
      `readMode lease needs electionTicks above heartbeatTicks + ${PROMISE_SLACK_TICKS}: ` +
        'no lease would last until the next heartbeat',
    );
  }
}
