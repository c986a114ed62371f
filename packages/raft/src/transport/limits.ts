/** Sizes and times of the transport, in bytes and milliseconds. */
export interface TransportLimits {
  /** Messages of one turn go in frames of about this size. A single message may be larger. */
  readonly frameBytes: number;
  /** The largest frame accepted from a peer. */
  readonly receiveBytes: number;
  /** Drops messages while more than this waits in a connection's socket. */
  readonly bufferedBytes: number;
  /** Drops messages while more than this waits for a connection. */
  readonly pendingBytes: number;
  /** Time to establish a connection, TLS included. */
  readonly connectMs: number;
  /** First wait before reconnecting. Doubles up to `reconnectMaxMs`, each with jitter. */
  readonly reconnectMs: number;
  readonly reconnectMaxMs: number;
  /** A connection that lasted this long was a good one: the next wait is the first again. */
  readonly stableMs: number;
  /** How often the connecting side sends a ping. */
  readonly pingMs: number;
  /** Gives up a connection that was silent for this long. */
  readonly silentMs: number;
  /** Largest piece of a snapshot. */
  readonly chunkBytes: number;
  /** Pieces received but not yet taken by the state machine. Beyond it the sender has to wait. */
  readonly chunksWaiting: number;
  /** How often a snapshot's receiver says that it is alive. */
  readonly snapshotAliveMs: number;
  /**
   * A snapshot's connection that made no progress for this long counts as broken, on either side.
   */
  readonly snapshotSilentMs: number;
  /**
   * The most bytes of a snapshot that may be sent and not acknowledged: what a break costs to send
   * again, and what the sender holds. A transfer begins with a quarter of it; each break halves the
   * current window, down to one piece.
   */
  readonly snapshotWindowBytes: number;
  /** How long a snapshot without a connection waits for the next, on either side. */
  readonly snapshotKeepMs: number;
  /** Connections in a row that may break without progress of the snapshot. */
  readonly snapshotBreaks: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  frameBytes: 1 * MIB,
  receiveBytes: 16 * MIB,
  bufferedBytes: 4 * MIB,
  pendingBytes: 1 * MIB,
  connectMs: 2_000,
  reconnectMs: 50,
  reconnectMaxMs: 1_000,
  stableMs: 2_000,
  pingMs: 1_000,
  silentMs: 5_000,
  chunkBytes: 64 * KIB,
  chunksWaiting: 8,
  snapshotAliveMs: 1_000,
  snapshotSilentMs: 10_000,
  snapshotWindowBytes: 1 * MIB,
  snapshotKeepMs: 30_000,
  snapshotBreaks: 32,
};
