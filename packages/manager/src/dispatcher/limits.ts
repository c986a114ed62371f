/** Every limit and period of the dispatcher in one place. Milliseconds unless the name says otherwise. */

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

/** Assignment changes in one message. */
export const ASSIGNMENTS_LIMIT = 100;
/** Changes are sent after this much quiet, */
export const ASSIGNMENTS_QUIET_MS = 10;
/** but never held back longer than this. */
export const ASSIGNMENTS_DELAY_LIMIT_MS = 50;

/** Statuses are stored together after this time, */
export const STATUS_FLUSH_MS = 20;
/** or when there are so many; more than that waiting, and sockets are not read. */
export const STATUS_BATCH_LIMIT = 10_000;

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
/** Pause before a write is tried again that found no quorum: doubles from the first to the second. */
export const STORE_BACKOFF_MIN_MS = 100;
export const STORE_BACKOFF_MAX_MS = 1_000;
