import type { BackoffLimits } from '@swarm/api';
import type { Rate } from '../token-bucket.js';

/** Every limit and period of the dispatcher in one place. Milliseconds unless the name says otherwise. */

const MIB = 1024 * 1024;

/** Heartbeat period unless the cluster's spec sets one, and the bounds of any. */
export const HEARTBEAT_DEFAULT_MS = 1_000;
export const HEARTBEAT_MIN_MS = 100;
export const HEARTBEAT_MAX_MS = 60_000;
/** Missed heartbeats after which a node is down. */
export const HEARTBEATS_MISSED = 3;
/**
 * Time that a node has to come back after a change of leader, from when it notices that the old one is silent: it may
 * try a host that is gone first, and managers may be busy.
 */
export const LEADER_RETURN_MS = 4_000;
/** Most time that nodes have to come back after a change of leader, before they are down. */
export const LEADER_GRACE_MAX_MS = 120_000;
/** Nodes that surely come back in a second: half of the handshakes that a manager's port begins. */
export const RETURNS_PER_SECOND = 250;
/** Time after which the tasks of a node that is down become orphaned. */
export const ORPHAN_AFTER_MS = 24 * 60 * 60 * 1000;

/**
 * A second daemon with a node's identity: how long the one that has the session may take to answer, and how long
 * to wait for one that lost its session a moment ago, or had it with the leader before. Both end before the
 * newcomer stops waiting for its welcome (5 s).
 */
export const RIVAL_ANSWER_MS = 2_000;
export const RIVAL_RETURN_MS = 3_000;
/** How long after its last attempt a second daemon stays in the node's status; it tries every 10 s. */
export const COPY_NAMED_MS = 60_000;
/** A second daemon that was refused gets the node when the first one has had no session for this long. */
export const HEIR_AFTER_MS = 60_000;
/** Refused daemons remembered for a node. */
export const COPIES_LIMIT = 16;
/** How long after its last attempt a node's status says why it was refused; agents try every 2 s. */
export const NOTE_KEPT_MS = 60_000;
/** The log names it at most this often. */
export const COPY_LOG_MS = 60_000;

/** Longest wait for the hello of a connection. */
export const HELLO_TIMEOUT_MS = 5_000;
/** Registrations of one node in a window. They are cheap, but a loop of them is a fault. */
export const REGISTRATIONS_LIMIT = 10;
export const REGISTRATIONS_WINDOW_MS = 8_000;
/** Connections at once, including those before their hello. */
export const CONNECTIONS_LIMIT = 16_384;
/** Bytes waiting for a session's socket; an agent further behind is dropped and connects again. */
export const SESSION_BUFFER_LIMIT_BYTES = 16 * 1024 * 1024;
/** Longest closing handshake before the socket is destroyed. */
export const CLOSE_TIMEOUT_MS = 2_000;

/** Assignment changes in one message, and the bytes after which it takes no more. */
export const ASSIGNMENTS_LIMIT = 100;
export const ASSIGNMENTS_BYTES_LIMIT = 256 * 1024;
/** Changes in a piece of a complete set: so many that its bytes bound it. */
export const ASSIGNMENTS_PIECE_LIMIT = 10_000;
/** Unacknowledged bytes of assignments; further changes wait, so that heartbeats do not. */
export const ASSIGNMENTS_WINDOW_BYTES = 1024 * 1024;
/** Longest wait for an acknowledgement before the session ends and the agent connects again. */
export const ASSIGNMENTS_ACK_LIMIT_MS = 60_000;
/** Quiet time after which changes are sent, */
export const ASSIGNMENTS_QUIET_MS = 10;
/** and the longest that they wait for it. */
export const ASSIGNMENTS_DELAY_LIMIT_MS = 50;

/** Time to collect statuses before they are stored together. */
export const STATUS_FLUSH_MS = 20;

// --- What one node may cost. One that wants more is slowed down, never cut off, and no other node waits for it.

/** Messages and bytes read from a node. Its socket is not read while it exceeds them. */
export const NODE_RECEIVED_MESSAGES: Rate = { burst: 4_000, perSecond: 1_000 };
export const NODE_RECEIVED_BYTES: Rate = { burst: 32 * MIB, perSecond: 16 * MIB };
/** Shortest pause of a socket that is not read, so that it does not wake up for every message. */
export const RECEIVE_REST_MS = 100;
/** Writes of the node object that the node causes: descriptions, sessions that begin or end. */
export const NODE_WRITES: Rate = { burst: 10, perSecond: 1 };
/**
 * For a node: log entries with statuses, each with all that wait; statuses; and bytes of the tasks written
 * with them. A thousand tasks that start at once are within the burst.
 */
export const NODE_STATUS_ENTRIES: Rate = { burst: 300, perSecond: 20 };
export const NODE_STATUSES: Rate = { burst: 10_000, perSecond: 500 };
export const NODE_STATUS_BYTES: Rate = { burst: 64 * MIB, perSecond: 4 * MIB };

/** Mesh changes this close together make one generation. */
export const MESH_COALESCE_MS = 5;
/** Generations kept to make deltas from; an agent further behind gets everything. */
export const MESH_HISTORY_LIMIT = 32;
/** A larger delta comes in pieces of this size, each sent when the socket has taken the one before. */
export const MESH_PIECE_BYTES = 256 * 1024;
/** Unacknowledged deltas; further changes wait and become one. */
export const MESH_INFLIGHT_LIMIT = 8;

/** Longest that a task runs on after it should stop, while nodes still send it traffic. */
export const DRAIN_HOLD_LIMIT_MS = 5_000;

/** Retries of a single change after conflicts with other writers. */
export const CONFLICT_RETRY_LIMIT = 20;
/** Retries of changes written together after conflicts, before each half continues by itself. */
export const CONFLICTS_TOGETHER_LIMIT = 5;
/** Pause before the retry of a write that found no quorum. */
export const STORE_BACKOFF_MS: BackoffLimits = { minMs: 100, maxMs: 1_000 };
