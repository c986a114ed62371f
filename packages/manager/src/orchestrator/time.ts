import { MS, type Nanoseconds, type Task, type Timestamp } from '@swarm/api';

/** Milliseconds since the epoch. An absent or unreadable timestamp is 0. */
export function parseTime(timestamp: Timestamp | undefined): number {
  if (timestamp === undefined) return 0;
  const ms = Date.parse(timestamp);
  return Number.isNaN(ms) ? 0 : ms;
}

/** RFC 3339. */
export function formatTime(ms: number): Timestamp {
  return new Date(ms).toISOString();
}

/** The time, or the earlier timestamp if that is ahead: times of one object never jump back. */
export function laterTime(earlier: Timestamp, ms: number): Timestamp {
  return parseTime(earlier) > ms ? earlier : formatTime(ms);
}

/** Converts a spec's duration to milliseconds. */
export function toMs(duration: Nanoseconds | undefined, fallbackMs: number): number {
  return duration === undefined ? fallbackMs : duration / MS;
}

/** When the task reached its observed state: by the manager's clock where known, never in the future. */
export function stateSince(task: Task, now: number): number {
  return Math.min(now, parseTime(task.Status.AppliedAt ?? task.Status.Timestamp));
}
