import type { LogStream } from './log-frames.js';

/** One line of a task's log, as far as it tells where the log was read to. */
export interface MarkedLine {
  readonly taskId: string;
  readonly stream: LogStream;
  /** RFC 3339 in UTC with nine decimals, so that texts compare as times. */
  readonly timestamp: string;
}

interface Mark {
  timestamp: string;
  /** Lines of that very time. */
  lines: number;
  /** When it came, on a clock that never goes back. */
  atMs: number;
}

/** A task that said nothing for this long is taken to have been read up to here. */
const QUIET_MS = 60_000;
/** Tasks that are remembered; the quietest are forgotten beyond it. */
const TASKS_LIMIT = 10_000;

/**
 * How far a log was read, by task and stream. A client that connects again reads from `since` on, and leaves
 * out what it has shown: the daemon's format has times but no positions.
 */
export class LogMarks {
  readonly #marks = new Map<string, Mark>();
  /** Time of the first line of each task: older ones were not asked for. */
  readonly #first = new Map<string, string>();
  #floor: string | undefined;
  #filters = new Map<string, { timestamp: string; lines: number; seen: number }>();

  /** Whether the line is new. Takes note of it then. */
  accept({ taskId, stream, timestamp }: MarkedLine, nowMs: number): boolean {
    const key = `${taskId}/${stream}`;
    if (!this.#isNew(key, timestamp)) return false;
    this.#filters.delete(key);
    if (!this.#first.has(taskId)) this.#first.set(taskId, timestamp);
    const mark = this.#marks.get(key);
    const lines = mark?.timestamp === timestamp ? mark.lines + 1 : 1;
    // The latest comes last, so that the first is the quietest.
    this.#marks.delete(key);
    this.#marks.set(key, { timestamp, lines, atMs: nowMs });
    if (this.#marks.size > 2 * TASKS_LIMIT) {
      const quietest = this.#marks.keys().next().value as string;
      this.#marks.delete(quietest);
      this.#first.delete(quietest.slice(0, quietest.lastIndexOf('/')));
    }
    return true;
  }

  /**
   * The connection broke: what comes from now on may have been shown.
   * @param floor older lines of tasks that have shown none were not asked for
   * @returns the time from which on every line that was not shown is found; undefined before the first line
   */
  broken(nowMs: number, floor?: string): string | undefined {
    this.#floor = floor;
    this.#filters = new Map();
    for (const [key, { timestamp, lines }] of this.#marks)
      this.#filters.set(key, { timestamp, lines, seen: 0 });
    for (const [taskId, timestamp] of this.#first) {
      for (const stream of ['stdout', 'stderr']) {
        const key = `${taskId}/${stream}`;
        if (!this.#filters.has(key)) this.#filters.set(key, { timestamp, lines: 0, seen: 0 });
      }
    }
    return this.#since(nowMs);
  }

  #since(nowMs: number): string | undefined {
    let newest = '';
    let earliest: string | undefined;
    for (const { timestamp, atMs } of this.#marks.values()) {
      if (timestamp > newest) newest = timestamp;
      if (nowMs - atMs < QUIET_MS && (earliest === undefined || timestamp < earliest))
        earliest = timestamp;
    }
    if (newest === '') return undefined;
    const quiet = new Date(Date.parse(newest) - QUIET_MS).toISOString();
    return earliest === undefined || earliest > quiet ? quiet : earliest;
  }

  #isNew(key: string, timestamp: string): boolean {
    const filter = this.#filters.get(key);
    if (filter === undefined) return this.#floor === undefined || timestamp >= this.#floor;
    if (timestamp < filter.timestamp) return false;
    if (timestamp > filter.timestamp || filter.seen >= filter.lines) return true;
    filter.seen += 1;
    return false;
  }
}
