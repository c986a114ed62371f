/** Every limit and period of the agent. Milliseconds unless the name says otherwise. */

/** From opening the socket to the manager's first answer. */
export const CONNECT_LIMIT_MS = 5_000;
/** Heartbeat periods without an answer before the agent gives up on a session. */
export const HEARTBEATS_UNANSWERED = 3;
/** Pause before the next attempt to reach a manager: doubles from the first to the second, with jitter. */
export const RECONNECT_MS = { minMs: 100, maxMs: 2_000 };
/**
 * The same while no packet reaches a manager: such attempts cost managers nothing, and a node whose cable is plugged in
 * again is back within two seconds.
 */
export const UNREACHED_RECONNECT_MS = { minMs: 100, maxMs: 1_000 };
/** Pause of a daemon that was refused because another one runs as this node. */
export const COPY_RETRY_MS = 10_000;
/** Redirects to another manager followed without a pause, so that two managers cannot bounce us for ever. */
export const REDIRECTS_LIMIT = 3;
/** Bytes waiting in the session's socket; the agent leaves a manager that falls this far behind. */
export const SESSION_BUFFER_LIMIT_BYTES = 16 * 1024 * 1024;
/** Managers the agent remembers. */
export const MANAGERS_LIMIT = 64;

/** Pieces of one mesh generation; managers make them of 256 KiB. */
export const MESH_PIECES_LIMIT = 1_024;

/** How long statuses are collected before they are sent in one message. */
export const STATUS_FLUSH_MS = 20;
/** Statuses in one message. */
export const STATUS_BATCH_LIMIT = 100;
/** Estimated bytes of statuses in one message; one status with all its ports fits. */
export const STATUS_FRAME_LIMIT_BYTES = 512 * 1024;
/** Status messages awaiting acknowledgement; later statuses wait, and only the newest of each task is kept. */
export const STATUS_INFLIGHT_LIMIT = 8;

/** Tasks being prepared or started at once, so that a hundred of them do not starve the heartbeats. */
export const STARTS_AT_ONCE = 8;
/** Longest wait of new tasks for those that had to stop while the node reached no manager. */
export const LEFTOVERS_LIMIT_MS = 30_000;
/** Attempts to prepare a task when its spec is not at fault, and the pause after the first. */
export const PREPARE_TRIES = 3;
export const PREPARE_RETRY_MS = { minMs: 250, maxMs: 10_000 };
/** A step of preparing that takes longer than this is named in the task's status. */
export const STEP_NAMED_AFTER_MS = 1_000;
/** The line of a failed task's log in its status: how far back to look, its bytes, and how long to wait. */
export const LAST_LINE_LINES = 5;
export const LAST_LINE_LIMIT_BYTES = 512;
export const LAST_LINE_WAIT_MS = 1_000;
/** Docker's grace between the stop signal and SIGKILL when the spec has none. */
export const DEFAULT_GRACE_MS = 10_000;
/** Longest wait for a task's connections to end before the task is stopped. */
export const DRAIN_LIMIT_MS = 10_000;
/** How often to look at a task's sockets while it drains or before it listens: from one to the other. */
export const SOCKETS_POLL_MS = { minMs: 10, maxMs: 250 };
/** How long a task waits before it is prepared until the mesh knows the names that others find it by. */
export const NAMED_WAIT_MS = 2_000;
/** Pause before retrying a failed stop, removal or mesh update: doubles up to the second. */
export const RETRY_MS = { minMs: 500, maxMs: 10_000 };
/** Longest pause before an isolated node tries again to restart a task. */
export const REVIVE_MAX_MS = 60_000;
/** A node without a session for this long counts as isolated and restarts its own tasks. */
export const ISOLATED_AFTER_MS = 10_000;
/** Pause before an isolated node restarts a task whose restart policy gives none (Docker's default). */
export const RESTART_DELAY_MS = 5_000;

/** Unreadable parts of a message that the log names; it only counts the rest. */
export const SET_ASIDE_NAMED_LIMIT = 10;

/** Log subscriptions per session. */
export const SUBSCRIPTIONS_LIMIT = 1_024;
/** Bytes of logs per second in a session: half of what a manager reads from a node (its node budgets). */
export const LOG_RATE_BYTES = 8 * 1024 * 1024;
/** How long a session may have been silent to send more at once. */
export const LOG_BURST_MS = 250;
/** Bytes of lines in one log message, including the overhead of each line. */
export const LOG_MESSAGE_LIMIT_BYTES = 64 * 1024;
/** How long lines are collected before they are sent in one message. */
export const LOG_FLUSH_MS = 20;

/** Pause before a node reports which published ports it does not serve, so that several are one message. */
export const CONFLICTS_REPORT_MS = 500;
