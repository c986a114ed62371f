import { DEFAULT_CONFIG } from '../core/config.js';
import type { ReadMode } from '../core/config.js';
import type { MemberId, MemberInfo } from '../core/types.js';
import type { LogStorage } from '../storage/storage.js';
import type { TraceSink } from '../trace.js';
import type { Transport } from '../transport/transport.js';
import type { Clock } from './clock.js';
import type { StateMachine } from './state-machine.js';

/** Where a node tells what happens to it. */
export interface RaftLogger {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export const SILENT_LOGGER: RaftLogger = { info() {}, warn() {}, error() {} };

/** Every bound of a node; all are positive integers. */
export interface RaftLimits {
  /** Largest data of one proposal. */
  readonly maxProposalBytes: number;
  /** Proposals accepted and not yet given to the core; more are refused. */
  readonly maxQueuedProposals: number;
  /** Messages received and not yet looked at; more are dropped, which Raft survives. */
  readonly maxInboxMessages: number;
  /** Reads that wait; more are refused. */
  readonly maxReads: number;
  /** Membership changes that wait for each other; more are refused. */
  readonly maxMemberChanges: number;
  readonly maxBytesPerMessage: number;
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  readonly maxUncommittedBytes: number;
  readonly maxApplyBytes: number;
  /** Entries applied since the log was last compacted, before it is compacted again. */
  readonly snapshotInterval: number;
  /** Or so many bytes of them: the log is in memory until then. */
  readonly snapshotBytes: number;
  /** Entries kept beyond what is needed, for members that lag a little, */
  readonly trailingEntries: number;
  /** and the most bytes that these have. */
  readonly trailingBytes: number;
  /** Snapshots sent at the same time. */
  readonly maxSnapshotsSent: number;
  /** A snapshot of which the receiver got nothing more for so long counts as lost. */
  readonly snapshotTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** Without a leader for so long, proposals fail with QuorumLostError. */
  readonly quorumLostMs: number;
  /** A new member must have caught up by then, else it stays a learner and the call fails. */
  readonly joinTimeoutMs: number;
  /** A membership change must be applied by then. */
  readonly changeTimeoutMs: number;
}

export const DEFAULT_LIMITS: RaftLimits = {
  maxProposalBytes: 1.5 * 1024 * 1024,
  maxQueuedProposals: 16_384,
  maxInboxMessages: 65_536,
  maxReads: 16_384,
  maxMemberChanges: 64,
  maxBytesPerMessage: DEFAULT_CONFIG.maxBytesPerMessage,
  maxInflightMessages: DEFAULT_CONFIG.maxInflightMessages,
  maxInflightBytes: DEFAULT_CONFIG.maxInflightBytes,
  maxUncommittedBytes: DEFAULT_CONFIG.maxUncommittedBytes,
  maxApplyBytes: DEFAULT_CONFIG.maxApplyBytes,
  snapshotInterval: 10_000,
  snapshotBytes: 64 * 1024 * 1024,
  trailingEntries: 500,
  trailingBytes: 8 * 1024 * 1024,
  maxSnapshotsSent: 4,
  snapshotTimeoutMs: 300_000,
  readTimeoutMs: 5_000,
  quorumLostMs: 5_000,
  joinTimeoutMs: 60_000,
  changeTimeoutMs: 10_000,
};

/** Short against any timer: followers' states lag that much at most where nothing is written. */
export const DEFAULT_COMMIT_DELAY_MS = 10;

export interface RaftNodeOptions {
  /** Positive; never used before by any member of this cluster. */
  readonly id: MemberId;
  /**
   * The founding members, this one included, the same list on each of them. Used only while the log
   * is empty. Absent: restart, or join (the node waits for the leader to contact it).
   */
  readonly members?: readonly MemberInfo[];
  /** Peers that a joining node may answer before it has learned the membership. */
  readonly seeds?: readonly MemberInfo[];
  /** Owned by the node from now on: closed when it stops. */
  readonly storage: LogStorage;
  /** Owned by the node from now on: closed when it stops. */
  readonly transport: Transport;
  readonly stateMachine: StateMachine;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Default 100. */
  readonly tickMs?: number;
  /** An election begins after E to 2E-1 ticks without a leader. Default 10. */
  readonly electionTicks?: number;
  /** Default 1. */
  readonly heartbeatTicks?: number;
  /**
   * A follower hears of a commit with the next entries, or alone after so many ms. 0: always at once,
   * which costs a leader under load half of its messages more. Default 10.
   */
  readonly commitDelayMs?: number;
  /**
   * How a leader makes sure that it still is one before a read. `quorum`: it asks a majority. `lease`:
   * it asks nobody while its lease lasts, which is safe only while no clock drifts by more than
   * `maxClockDriftPpm` or stands still; else as `quorum`. May differ between members. Default `quorum`.
   */
  readonly readMode?: ReadMode;
  /** What any member's clock gains or loses at most, parts per million, 0 to 500000. Default 50000. */
  readonly maxClockDriftPpm?: number;
  readonly limits?: Partial<RaftLimits>;
  readonly logger?: RaftLogger;
  /** Hears of every state transition, at once: see trace.ts. Absent: tracing costs nothing. */
  readonly trace?: TraceSink;
  /** The node hit an error it must not survive, and stops. Called once. */
  readonly onFatal?: (error: unknown) => void;
}
