import { DEFAULT_CONFIG } from '../core/config.js';
import type { ReadMode } from '../core/config.js';
import type { MemberId, MemberInfo } from '../core/types.js';
import type { LogStorage } from '../storage/storage.js';
import type { TraceSink } from '../trace.js';
import type { Transport } from '../transport/transport.js';
import type { Clock } from './clock.js';
import type { StateMachine } from './state-machine.js';

/** Receives a node's log lines. */
export interface RaftLogger {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

export const SILENT_LOGGER: RaftLogger = { info() {}, warn() {}, error() {} };

/** Every limit of a node. All are positive integers. */
export interface RaftLimits {
  /** Largest data of one proposal, bytes. */
  readonly maxProposalBytes: number;
  /** Proposals accepted but not yet given to the core. The node refuses more. */
  readonly maxQueuedProposals: number;
  /** Messages received but not yet handled. The node drops more, which Raft survives. */
  readonly maxInboxMessages: number;
  /** Reads that wait. The node refuses more. */
  readonly maxReads: number;
  /** Membership changes that wait for each other. The node refuses more. */
  readonly maxMemberChanges: number;
  readonly maxBytesPerMessage: number;
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
  readonly maxUncommittedBytes: number;
  readonly maxApplyBytes: number;
  /** Entries to apply after a compaction before the next one, */
  readonly snapshotInterval: number;
  /** or this many bytes of them. The log stays in memory until then. */
  readonly snapshotBytes: number;
  /** Entries kept beyond what is needed, for members that lag a little, */
  readonly trailingEntries: number;
  /** and the most bytes of these. */
  readonly trailingBytes: number;
  /** Snapshots sent at the same time. */
  readonly maxSnapshotsSent: number;
  /** A snapshot counts as lost when its receiver got nothing more for this long. */
  readonly snapshotTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** Proposals fail with QuorumLostError after this long without a leader. */
  readonly quorumLostMs: number;
  /**
   * A new member must catch up within this time; otherwise it is removed again and the call fails.
   */
  readonly joinTimeoutMs: number;
  /** A membership change must be applied within this time. */
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

/**
 * Short compared with any timer: followers' states lag by at most this where nothing is written.
 */
export const DEFAULT_COMMIT_DELAY_MS = 10;

export interface RaftNodeOptions {
  /** Positive, and never used before by any member of this cluster. */
  readonly id: MemberId;
  /**
   * The founding members, this one included, the same list on each of them. Used only while the log
   * is empty. Absent: a restart, or a join (the node waits for the leader to contact it).
   */
  readonly members?: readonly MemberInfo[];
  /** Peers that a joining node may answer before it has learned the membership. */
  readonly seeds?: readonly MemberInfo[];
  /**
   * The member has run before. Its log cannot be empty then: an empty one takes the place of one that
   * was lost, and with it went votes and entries that others count on. `open` refuses it.
   */
  readonly returns?: boolean;
  /** The node owns it from now on, and closes it when it stops. */
  readonly storage: LogStorage;
  /** The node owns it from now on, and closes it when it stops. */
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
   * Milliseconds after which a follower hears of a commit if no entries carry it sooner. 0: always
   * at once, which doubles the messages of a leader under load. Default 10.
   */
  readonly commitDelayMs?: number;
  /**
   * How a leader makes sure that it still leads before a read. `quorum`: it asks a majority.
   * `lease`: it asks nobody while its lease lasts, otherwise as in `quorum`; safe only while no
   * clock drifts by more than `maxClockDriftPpm` or stands still. May differ between members.
   * Default `quorum`.
   */
  readonly readMode?: ReadMode;
  /**
   * The most that any member's clock gains or loses, in parts per million, 0 to 500000. Default
   * 50000.
   */
  readonly maxClockDriftPpm?: number;
  readonly limits?: Partial<RaftLimits>;
  readonly logger?: RaftLogger;
  /** Receives every state transition, at once: see trace.ts. Absent: tracing costs nothing. */
  readonly trace?: TraceSink;
  /** Called once, when the node hits an error it must not survive, and stops. */
  readonly onFatal?: (error: unknown) => void;
}
