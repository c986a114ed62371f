/** Every limit and period of the Docker runtime. Milliseconds unless the name says otherwise. */

/** Oldest Engine API this runtime speaks: Docker 20.10, Podman 4. */
export const API_MIN = '1.41';
/** Newest API version this runtime was written for; asks a newer engine for this one. */
export const API_MAX = '1.47';
/** From a request to the first byte of its answer; starting a container on a busy host is slow. */
export const ANSWER_LIMIT_MS = 120_000;
/** How long to wait for any answer of an engine. */
export const PING_LIMIT_MS = 5_000;
/** How long to retry a request while the engine cannot be reached. */
export const UNREACHABLE_LIMIT_MS = 60_000;
/** Pause before the next attempt: doubles from the first to the second, with jitter. */
export const RETRY_MS = { minMs: 50, maxMs: 2_000 };
/** Longest JSON answer; a list of a thousand containers is about 3 MB. */
export const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;
/** Longest line of a stream of JSON values. */
export const JSON_LINE_LIMIT_BYTES = 1024 * 1024;

/** How often to look at all containers, in case an event was lost. */
export const RESYNC_MS = 30_000;
/** How far before the start of a stream to ask for events, so that none falls between two streams. */
export const EVENTS_OVERLAP_MS = 2_000;
/** How often to look at a container that is not healthy yet, to report what its check printed. */
export const HEALTH_POLL_MS = 1_000;
/** From SIGKILL to the engine's report that the container ended. */
export const KILL_LIMIT_MS = 15_000;
/** How often to look at a removal that somebody else began, and for how long. */
export const REMOVAL_POLL_MS = 50;
export const REMOVAL_LIMIT_MS = 30_000;

/** How long to wait for a silent registry when there is a local image. */
export const PULL_PATIENCE_MS = 5_000;
/** After a failed pull, how long to use a local image without asking again. */
export const PULL_REST_MS = 30_000;
/** Images whose failed pull is remembered. */
export const PULL_MEMORY = 256;
/** How often to report the progress of a pull. */
export const PULL_PROGRESS_MS = 1_000;

/** Sandboxes that wait for a task. */
export const SPARE_SANDBOXES = 3;
/** How long to wait, as the daemon ends, for a spare that is being made: the request cannot be withdrawn. */
export const SPARE_CLOSE_LIMIT_MS = 2_000;
/** How long to leave a host alone that cannot make spares. */
export const SPARES_REST_MS = 60_000;

/** Docker's limit for one part of a log line: longer lines come in several parts. */
export const LOG_PART_BYTES = 16 * 1024;
/** Longest frame of a multiplexed log: a part, its time, and the details of labels. */
export const LOG_FRAME_LIMIT_BYTES = 1024 * 1024;
/** Characters of a health check's output that a message quotes. */
export const HEALTH_OUTPUT_LIMIT = 1_024;
