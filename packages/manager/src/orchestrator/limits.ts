import type { BackoffLimits } from '@swarm/api';

/** Every bound and default of the orchestrators, in milliseconds unless the name says otherwise. */

/** Restart and update defaults (SwarmKit api/defaults/service.go). */
export const DEFAULT_RESTART_DELAY_MS = 5_000;
export const DEFAULT_MONITOR_MS = 5_000;
export const DEFAULT_STOP_GRACE_MS = 10_000;
export const DEFAULT_HISTORY_LIMIT = 5;

/** Wait before another pass over a service whose pass hit a fault, unless the service changes first. */
export const SET_ASIDE_RETRY_MS = 60_000;

/** Longest wait that back-off can grow a shorter configured delay to. */
export const RESTART_BACKOFF_MAX_MS = 60_000;
/** First step of the back-off when the configured delay is 0. */
export const RESTART_BACKOFF_BASE_MS = 500;
/** A task that lived this long starts a new count of failures in a row, when the policy has no window. */
export const RESTART_STREAK_RESET_MS = 5 * 60_000;

/** How long a replacement may stay unprepared before its predecessor is stopped anyway. */
export const PREPARE_TIMEOUT_MS = 30_000;
/** How long the agent may prepare (pull the image) before the predecessor is stopped anyway. */
export const PREPARE_PULL_TIMEOUT_MS = 10 * 60_000;
/** Extra wait for a predecessor beyond its own stop grace period. */
export const STOP_MARGIN_MS = 30_000;
/** How often to look again whether stopping a task would make room for its replacement. */
export const ROOM_RECHECK_MS = 5_000;
/** An update counts a task that stays unplaced this long as failed. */
export const UNSCHEDULABLE_TIMEOUT_MS = 10 * 60_000;
/** Minimum time a running task gets to start listening on its ports. */
export const READY_TIMEOUT_MIN_MS = 10_000;
/** The same when an earlier task of the slot did listen: long enough for slow starters. */
export const LISTEN_TIMEOUT_MS = 2 * 60_000;
/** Longest time a slot that moved off a draining node holds back the next one. */
export const DRAIN_SWITCH_TIMEOUT_MS = 2 * 60_000;

/** Services that one loop works on at once. */
export const QUEUE_CONCURRENCY_LIMIT = 16;
/** Wait before repeating a pass that lost a race, and the most it grows to. */
export const RETRY_CONFLICT_MS: BackoffLimits = { minMs: 10, maxMs: 500 };
/** Wait after any other failure, and the most it grows to. */
export const RETRY_FAILURE_MS: BackoffLimits = { minMs: 200, maxMs: 10_000 };
/** Longest single timer of a loop; longer waits take several. */
export const WAKE_MAX_MS = 60 * 60_000;

/** Reaper: how long it gathers slots, and how many make it act at once. */
export const REAPER_BATCH_MS = 250;
export const REAPER_BATCH_LIMIT = 1000;
