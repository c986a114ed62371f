import type { BackoffLimits } from '@swarm/api';
import type { Rate } from '../token-bucket.js';

/** Every limit and period of the dispatcher in one place. Milliseconds unless the name says otherwise. */

const MIB = 1024 * 1024;

/** Heartbeat unless the cluster's spec sets one, and the least and most that is used. */
export const HEARTBEAT_DEFAULT_MS = 1_000;
export const HEARTBEAT_MIN_MS = 100;
export const HEARTBEAT_MAX_MS = 60_000;
/** A node is down after so many heartbeats missed. */
export const HEARTBEATS_MISSED = 3;
/** After a change of leader nodes have at least so long to come back before they are down. */
export const LEADER_GRACE_MIN_MS = 5_000;
/** After so long down a node's tasks are given up: they become orphaned. */
export const ORPHAN_AFTER_MS = 24 * 60 * 60 * 1000;

/** A connection must say hello in this time. */
export const HELLO_TIMEOUT_MS = 5_000;
/** Registrations of one node in a window; ours are cheap, but a loop of them is a fault. */
export const REGISTRATIONS_LIMIT = 10;
export const REGISTRATIONS_WINDOW_MS = 8_000;
/** Connections at once, those before their hello included. */
export const CONNECTIONS_LIMIT = 16_384;
/** Bytes waiting for a session's socket; an agent that far behind is dropped and starts afresh. */
export const SESSION_BUFFER_LIMIT_BYTES = 16 * 1024 * 1024;
/** After the closing handshake was begun, the socket is destroyed when it takes longer. */
export const CLOSE_TIMEOUT_MS = 2_000;

/** Assignment changes in one message, and the bytes after which it takes no further one. */
export const ASSIGNMENTS_LIMIT = 100;
export const ASSIGNMENTS_BYTES_LIMIT = 256 * 1024;
/** A piece of a complete set is bounded by its bytes. */
export const ASSIGNMENTS_PIECE_LIMIT = 10_000;
/** Bytes of assignments sent and not acknowledged; further changes wait, so that heartbeats need not. */
export const ASSIGNMENTS_WINDOW_BYTES = 1024 * 1024;
/** An agent that acknowledges nothing for so long is told to start afresh. */
export const ASSIGNMENTS_ACK_LIMIT_MS = 60_000;
/** Changes are sent after this much quiet, */
export const ASSIGNMENTS_QUIET_MS = 10;
/** but never held back longer than this. */
export const ASSIGNMENTS_DELAY_LIMIT_MS = 50;

/** Statuses are stored together after this time. */
export const STATUS_FLUSH_MS = 20;

// --- What one node may cost. It is slowed when it wants more, never ended, and no other node waits for it.

/** Messages and bytes read from a node. Its socket is not read while it is beyond. */
export const NODE_RECEIVED_MESSAGES: Rate = { burst: 4_000, perSecond: 1_000 };
export const NODE_RECEIVED_BYTES: Rate = { burst: 32 * MIB, perSecond: 16 * MIB };
/** A socket that is not read rests so long at least, so that it is not woken for every message. */
export const RECEIVE_REST_MS = 100;
/** Writes of the node object that the node causes: descriptions, sessions that begin or end. */
export const NODE_WRITES: Rate = { burst: 10, perSecond: 1 };
/**
 * Log entries with statuses of a node, each with all that waits; statuses; and bytes of the tasks that
 * are written with them. A thousand tasks that start at once are within the burst.
 */
export const NODE_STATUS_ENTRIES: Rate = { burst: 300, perSecond: 20 };
export const NODE_STATUSES: Rate = { burst: 10_000, perSecond: 500 };
export const NODE_STATUS_BYTES: Rate = { burst: 64 * MIB, perSecond: 4 * MIB };

/** Mesh changes this close together make one generation. */
export const MESH_COALESCE_MS = 5;
/** Generations kept to make deltas from; an agent further behind gets everything. */
export const MESH_HISTORY_LIMIT = 32;
/** Deltas sent and not acknowledged; further changes wait and become one. */
export const MESH_INFLIGHT_LIMIT = 8;

/** Longest that a task which shall stop is held while nodes still send it traffic. */
export const DRAIN_HOLD_LIMIT_MS = 5_000;

/** Tries of a write that others get in the way of. */
export const CONFLICT_RETRY_LIMIT = 20;
/** Changes that are written together try as often together; then each half goes on by itself. */
export const CONFLICTS_TOGETHER_LIMIT = 5;
/** Pause before a write is tried again that found no quorum. */
export const STORE_BACKOFF_MS: BackoffLimits = { minMs: 100, maxMs: 1_000 };
