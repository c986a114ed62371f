/** Every limit and period of the log broker. Milliseconds and bytes as the names say. */

/** Most streams at once on the leader; each holds up to STREAM_UNREAD_LIMIT_BYTES when its reader stalls. */
export const LOG_STREAMS_LIMIT = 64;
/** How far all agents together may run ahead of the reader, shared among them; */
export const STREAM_CREDIT_BYTES = 1024 * 1024;
/** and the least and most for one subscription. */
export const CREDIT_MIN_BYTES = 16 * 1024;
export const CREDIT_MAX_BYTES = 256 * 1024;
/** How far an agent may overshoot its credit: by one message. */
export const MESSAGE_BYTES = 64 * 1024;
/** With more than this unread, nodes that send more are left, and asked again from there when it was read. */
export const STREAM_UNREAD_LIMIT_BYTES = 2 * 1024 * 1024;
/** Most subscriptions of one stream. */
export const STREAM_SUBSCRIPTIONS_LIMIT = 4_096;
/** Most tasks in one subscription, so that it fits into a message with all their places. */
export const SUBSCRIPTION_TASKS_LIMIT = 2_000;
/** Most reasons named in a warning, and notices that wait for the reader; the rest are counted. */
export const REASONS_LIMIT = 20;
/** Longest reason. A warning with all of them has to fit into a frame. */
export const REASON_LIMIT_BYTES = 1024;

/** A node without a session for less than this costs a follower no notice. */
export const AWAY_NOTICE_MS = 2_000;
/** The same while the store still has the node as ready: after a change of leader it may have to try for long. */
export const AWAY_READY_NOTICE_MS = 10_000;
/** How long to wait for a node that is not down but has no session, as after an election. */
export const NODE_WAIT_MS = 5_000;

/** How long a stream goes on without a leader: before it began, a follower, and one that ends with what there is. */
export const LEADERLESS_LIMITS_MS = { first: 5_000, follow: 600_000, once: 30_000 };
/** Pause before the next attempt to reach the leader: doubles from the first to the second. */
export const RESUME_MS = { minMs: 50, maxMs: 1_000 };
/** After this long without a leader, a follower gets a notice. */
export const LEADERLESS_NOTICE_MS = 5_000;

/** Places of removed tasks that a stream may keep before it forgets them. */
export const PLACES_SLACK = 1_000;

/** How often the leader sends something on a quiet stream to another manager, which waits for three of them. */
export const ALIVE_MS = 2_000;
export const SILENCE_LIMIT_MS = 3 * ALIVE_MS;
/** Largest frame between managers: a piece of a line with all its fields. */
export const ITEM_FRAME_LIMIT_BYTES = 64 * 1024;
