/** Every limit and period of the Docker runtime in one place. Milliseconds unless the name says otherwise. */

/** Oldest Engine API this runtime speaks: Docker 20.10, Podman 4. */
export const API_MIN = '1.41';
/** Newest one it was written for; a newer engine is asked for this one. */
export const API_MAX = '1.47';
/** From a request to the first byte of its answer; starting a container on a busy host is slow. */
export const ANSWER_LIMIT_MS = 120_000;
/** Whether an engine answers at all. */
export const PING_LIMIT_MS = 5_000;
/** An engine that can not be reached is tried again for so long before a request fails. */
export const UNREACHABLE_LIMIT_MS = 60_000;
/** Pause before the next try: doubles from the first to the second, with jitter. */
export const RETRY_MS = { minMs: 50, maxMs: 2_000 };
/** Longest JSON answer; a list of a thousand containers is about 3 MB. */
export const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;
/** Longest line of a stream of JSON values. */
export const JSON_LINE_LIMIT_BYTES = 1024 * 1024;

/** All containers are looked at this often, should an event ever be lost. */
export const RESYNC_MS = 30_000;
/** Events from so long before the stream stood are asked for, too: none falls between two streams. */
export const EVENTS_OVERLAP_MS = 2_000;
/** A container that is not healthy yet is looked at this often, to say what its check printed. */
export const HEALTH_POLL_MS = 1_000;
/** From SIGKILL to the engine's word that the container ended. */
export const KILL_LIMIT_MS = 15_000;
/** How often a removal that somebody else began is looked at, and for how long. */
export const REMOVAL_POLL_MS = 50;
export const REMOVAL_LIMIT_MS = 30_000;

/** A registry that says nothing for so long is not waited for when the image is here already. */
export const PULL_PATIENCE_MS = 5_000;
/** After a pull failed, an image that is here is used without asking again for so long. */
export const PULL_REST_MS = 30_000;
/** Images whose failed pull is remembered. */
export const PULL_MEMORY = 256;
/** Progress of a pull is told this often. */
export const PULL_PROGRESS_MS = 1_000;

/** Sandboxes that wait for a task. */
export const SPARE_SANDBOXES = 3;
/** A spare that is being made when the daemon ends is waited for so long: a request cannot be taken back. */
export const SPARE_CLOSE_LIMIT_MS = 2_000;
/** A host that can not make spares is not asked for one for so long. */
export const SPARES_REST_MS = 60_000;

/** Docker's log line parts: longer lines come in parts of this size. */
export const LOG_PART_BYTES = 16 * 1024;
/** Longest frame of a multiplexed log: a part, its time, and the details of labels. */
export const LOG_FRAME_LIMIT_BYTES = 1024 * 1024;
/** Characters of a health check's output that a message repeats. */
export const HEALTH_OUTPUT_LIMIT = 1_024;
