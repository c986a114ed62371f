/** Every limit and period of the agent in one place. Milliseconds unless the name says otherwise. */

/** From opening the socket to the manager's first answer. */
export const CONNECT_LIMIT_MS = 5_000;
/** A session is given up after so many heartbeat periods without an answer. */
export const HEARTBEATS_UNANSWERED = 3;
/** Pause before the next try to reach a manager: doubles from the first to the second, with jitter. */
export const RECONNECT_MS = { minMs: 100, maxMs: 2_000 };
/** "Ask that one" answers followed without a pause, so that two managers can not play ball with us. */
export const REDIRECTS_LIMIT = 3;
/** Bytes waiting for the session's socket; a manager that far behind is left. */
export const SESSION_BUFFER_LIMIT_BYTES = 16 * 1024 * 1024;
/** Managers remembered. */
export const MANAGERS_LIMIT = 64;

/** Statuses are sent together after this time. */
export const STATUS_FLUSH_MS = 20;
/** Statuses in one message, */
export const STATUS_BATCH_LIMIT = 100;
/** and what they may take in it, as estimated; one status with all its ports fits. */
export const STATUS_FRAME_LIMIT_BYTES = 512 * 1024;
/** Status messages sent and not acknowledged; further statuses wait, the newest of each task. */
export const STATUS_INFLIGHT_LIMIT = 8;

/** Tasks prepared or started at once, so that a hundred of them do not starve the heartbeats. */
export const STARTS_AT_ONCE = 8;
/** Tries to prepare a task when it is no fault of its spec, and the pause after the first. */
export const PREPARE_TRIES = 3;
export const PREPARE_RETRY_MS = { minMs: 250, maxMs: 10_000 };
/** Docker's grace between the stop signal and SIGKILL when the spec has none. */
export const DEFAULT_GRACE_MS = 10_000;
/** Longest wait for a task's connections to end before it is told to stop. */
export const DRAIN_LIMIT_MS = 10_000;
/** Looks at a task's sockets, while it drains or before it listens: from one to the other. */
export const SOCKETS_POLL_MS = { minMs: 10, maxMs: 250 };
/** Pause before a failed stop, removal or mesh update is tried again: doubles up to the second. */
export const RETRY_MS = { minMs: 500, maxMs: 10_000 };
/** Longest pause before an isolated node tries again to restart a task. */
export const REVIVE_MAX_MS = 60_000;
/** Without a session for so long a node counts as isolated and restarts its own tasks. */
export const ISOLATED_AFTER_MS = 10_000;
/** Pause before an isolated node restarts a task, when its restart policy names none (Docker's). */
export const RESTART_DELAY_MS = 5_000;

/** Parts of a message that could not be read and are named in the log; more are counted. */
export const SET_ASIDE_NAMED_LIMIT = 10;

/** Log subscriptions of a session. */
export const SUBSCRIPTIONS_LIMIT = 256;
/** Bytes of lines in a log message, each with its cost. */
export const LOG_MESSAGE_LIMIT_BYTES = 64 * 1024;
/** Lines are sent together after this time. */
export const LOG_FLUSH_MS = 20;
