/** Every bound and default of the orchestrators, in milliseconds unless the name says else. */

/** Restart and update defaults (SwarmKit api/defaults/service.go). */
export const DEFAULT_RESTART_DELAY_MS = 5_000;
export const DEFAULT_MONITOR_MS = 5_000;
export const DEFAULT_STOP_GRACE_MS = 10_000;
export const DEFAULT_HISTORY_LIMIT = 5;

/** A service whose pass fails with a fault is tried again after so long, or when something of it changes. */
export const SET_ASIDE_RETRY_MS = 60_000;

/** Longest wait the back-off makes of a shorter configured delay. */
export const RESTART_BACKOFF_MAX_MS = 60_000;
/** First step of the back-off where the configured delay is 0. */
export const RESTART_BACKOFF_BASE_MS = 500;
/** A task that lived this long did not crash in a row, where the policy has no window. */
export const RESTART_STREAK_RESET_MS = 5 * 60_000;

/** How long a replacement may stay unprepared before its predecessor is stopped all the same. */
export const PREPARE_TIMEOUT_MS = 30_000;
/** How long the agent may prepare (pull the image) before its predecessor is stopped all the same. */
export const PREPARE_PULL_TIMEOUT_MS = 10 * 60_000;
/** Waited for a predecessor beyond its own stop grace period. */
export const STOP_MARGIN_MS = 30_000;
/** A task that can not be placed for this long counts as failed in an update. */
export const UNSCHEDULABLE_TIMEOUT_MS = 10 * 60_000;
/** Least time given to a running task to listen on its ports. */
export const READY_TIMEOUT_MIN_MS = 10_000;
/** The same where a task before it did listen; slow starters get it too. */
export const LISTEN_TIMEOUT_MS = 2 * 60_000;
/** A drained slot that was switched over holds back the next one at most this long. */
export const DRAIN_SWITCH_TIMEOUT_MS = 2 * 60_000;

/** Services worked on at once by one loop. */
export const QUEUE_CONCURRENCY_LIMIT = 16;
/** Wait before a pass that lost a race, and the most it grows to. */
export const RETRY_CONFLICT_MS = 10;
export const RETRY_CONFLICT_MAX_MS = 500;
/** Wait after any other failure, and the most it grows to. */
export const RETRY_FAILURE_MS = 200;
export const RETRY_FAILURE_MAX_MS = 10_000;
/** A loop looks again after at most this long when it waits for a time; longer waits come in steps. */
export const WAKE_MAX_MS = 60 * 60_000;

/** Reaper: how long it gathers tasks, and how many make it act at once. */
export const REAPER_BATCH_MS = 250;
export const REAPER_BATCH_LIMIT = 1000;
