/** Sizes and times of the transport, in bytes and milliseconds. */
export interface TransportLimits {
  /** Messages sent in one turn go in frames of about this size; one message may be larger. */
  readonly frameBytes: number;
  /** The largest frame that is taken from a peer. */
  readonly receiveBytes: number;
  /** More than this waiting in a connection's socket: messages are dropped. */
  readonly bufferedBytes: number;
  /** More than this waiting for a connection to be made: messages are dropped. */
  readonly pendingBytes: number;
  /** Time for a connection to be made, TLS included. */
  readonly connectMs: number;
  /** First wait before connecting again; doubles up to `reconnectMaxMs`, each with jitter. */
  readonly reconnectMs: number;
  readonly reconnectMaxMs: number;
  /** A connection that lasted so long was a good one: waits start anew. */
  readonly stableMs: number;
  /** The connecting side asks for a sign of life so often. */
  readonly pingMs: number;
  /** A connection on which nothing came for so long is given up. */
  readonly silentMs: number;
  /** Snapshots are cut in pieces of at most this size. */
  readonly chunkBytes: number;
  /** Pieces received and not yet taken by the state machine; beyond it the sender has to wait. */
  readonly chunksWaiting: number;
  /** A snapshot's receiver says so often that it lives. */
  readonly snapshotAliveMs: number;
  /** A snapshot's connection on which nothing moves for so long counts as broken, on either side. */
  readonly snapshotSilentMs: number;
  /**
   * Bytes of a snapshot that may be sent and not acknowledged, at most: what a break costs to send
   * again, and what the sender holds. A transfer begins with a quarter of it; each break halves what it
   * has come to, down to one piece.
   */
  readonly snapshotWindowBytes: number;
  /** A snapshot without a connection waits so long for the next, on either side. */
  readonly snapshotKeepMs: number;
  /** Connections in a row that may break without having brought a snapshot forward. */
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
