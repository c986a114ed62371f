import type { MemberId } from './types.js';

/** How one member's core behaves. Every number is a positive integer unless stated otherwise. */
export interface RaftConfig {
  readonly id: MemberId;
  /** Ticks without a leader before an election. Each wait is drawn from [E, 2E-1]. */
  readonly electionTicks: number;
  /** Ticks between a leader's heartbeats. Must be below `electionTicks`. */
  readonly heartbeatTicks: number;
  /** Uniform in [0, 1). The core's only source of randomness. */
  readonly random: () => number;
  /** Limit on the entries in one Append. An Append always holds at least one entry. */
  readonly maxBytesPerMessage: number;
  /** Limit on Appends in flight to one follower. */
  readonly maxInflightMessages: number;
  /** Limit on bytes of entries in flight to one follower. At least `maxBytesPerMessage`. */
  readonly maxInflightBytes: number;
  /**
   * Limit on bytes proposed by this leader and not yet committed. Beyond it, the leader refuses
   * proposals.
   */
  readonly maxUncommittedBytes: number;
  /**
   * Limit on bytes of entries that one `ready` hands out to be applied. It always hands out at
   * least one entry.
   */
  readonly maxApplyBytes: number;
  /**
   * How members learn of a commit. `at-once`: in a message of its own if no other is due.
   * `carried`: in the next message, whatever it is. The caller watches `commitUntold` and calls
   * `tellCommit` when it has waited long enough.
   */
  readonly commitNews: 'at-once' | 'carried';
  /** How a leader proves that it still leads before it serves a read. */
  readonly readMode: ReadMode;
  /**
   * The most that a clock gains or loses against true time, in parts per million. Used for leases.
   */
  readonly maxClockDriftPpm: number;
  /**
   * The least time in milliseconds, by this member's own clock, that `electionTicks` ticks take.
   * The member promises this long to a leader it hears (promise.ts). 0: it promises nothing, and no
   * lease counts on it.
   */
  readonly promiseMs: number;
}

export const ReadMode = {
  /** A round of heartbeats for the reads that wait. */
  Quorum: 'quorum',
  /** No messages while a lease lasts (lease.ts); otherwise as in `quorum`. */
  Lease: 'lease',
} as const;
export type ReadMode = (typeof ReadMode)[keyof typeof ReadMode];

/**
 * Beyond this drift a lease would be shorter than a third of the promise, and the clocks are
 * broken.
 */
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

/** An option that cannot work. The message names the option and says what it must be. */
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
