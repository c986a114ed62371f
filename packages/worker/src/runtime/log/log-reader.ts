import type { LogLine, LogOptions, LogPlace } from '@swarm/api';
import { TaskLogReader, type Segment, STREAMS } from './task-log-reader.js';
import type { LogRecord, LogStream } from './log-index.js';
import type { TaskLog } from './task-log.js';

/** Records a slow follower may lag behind; then the oldest are merged and their times get coarser. */
const FOLLOW_LIMIT = 4096;

/** Ends a reader that waits for lines. */
interface Stop {
  stopped: boolean;
  wake: () => void;
}

/**
 * Reads a task's log: the lines of both streams, in order of time. Positions are offsets in the files.
 * @param place as for `TaskRuntime.logs`
 */
export function readLog(
  log: TaskLog,
  taskId: string,
  options: LogOptions,
  place?: LogPlace,
): AsyncIterable<LogLine> {
  return {
    [Symbol.asyncIterator]() {
      const stop: Stop = { stopped: false, wake: () => {} };
      const lines = generate(log, taskId, { options, place, stop });
      return {
        next: () => lines.next(),
        return: () => {
          // A generator's own `return` waits for the next line, which may never come.
          stop.stopped = true;
          stop.wake();
          return lines.return();
        },
      };
    },
  };
}

async function* generate(
  log: TaskLog,
  taskId: string,
  {
    options,
    place,
    stop,
  }: { readonly options: LogOptions; readonly place: LogPlace | undefined; readonly stop: Stop },
): AsyncGenerator<LogLine, void, undefined> {
  try {
    log.sample();
    log.flush();
  } catch {
    // What there is can be read, whatever keeps its times from being written; the recorder reports that.
  }
  const live: LogRecord[] = [];
  let ended = false;
  const unlisten = log.listen((record) => {
    if (record === 'end') ended = true;
    else {
      if (live.length >= FOLLOW_LIMIT) live.shift();
      live.push(record);
    }
    stop.wake();
  });
  const reader = new TaskLogReader(log, taskId);
  try {
    const wanted = (record: { stream: LogStream }): boolean => options[record.stream];
    const segments = toSegments(log.records()).filter(wanted);
    reader.know(segments);
    const offsets = offsetsOf(place, segments, log);
    const sinceMs =
      options.since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(options.since);
    const fresh = segments.filter(({ stream }) => offsets[stream] === undefined);
    const first = fresh.findIndex((segment) => Math.round(segment.timeMs) >= sinceMs);
    const recent = first < 0 ? [] : fresh.slice(first);
    const { at, offset, skipLines } = await reader.findTail(recent, options.tail);
    const unfinished = await reader.seek(recent, at, offset);
    const chosen = new Set(recent.slice(at));
    for (const stream of STREAMS) {
      const offset = offsets[stream];
      if (offset !== undefined) reader.startAt(stream, offset);
    }
    // Streams with nothing to read start at their end.
    for (const segment of segments) reader.startAt(segment.stream, segment.to);
    let skip = skipLines;
    const isSkipped = ({ stream, partial }: LogLine): boolean => {
      if (skip === 0 || offsets[stream] !== undefined) return false;
      // A long line is one, whatever pieces it comes in.
      if (partial !== true) skip -= 1;
      return true;
    };
    for (const segment of unfinished) {
      for await (const line of reader.read(segment)) if (!isSkipped(line)) yield line;
    }
    for (const segment of segments) {
      if (offsets[segment.stream] === undefined && !chosen.has(segment)) continue;
      for await (const line of reader.read(segment)) if (!isSkipped(line)) yield line;
    }
    if (place !== undefined && options.follow) {
      yield* STREAMS.filter((stream) => options[stream]).map((stream) => reader.mark(stream));
    }
    while (options.follow && !stop.stopped) {
      const record = live.shift();
      if (record !== undefined) {
        if (record.trimmed) reader.restart(record.stream, record.offset);
        else if (!wanted(record)) continue;
        else if (record.gap === true) yield* reader.read(gapOf(record));
        else yield* reader.readTo(record);
        continue;
      }
      if (ended) break;
      await new Promise<void>((resolve) => {
        stop.wake = resolve;
      });
    }
    for (const line of reader.rest()) if (!isSkipped(line)) yield line;
  } finally {
    unlisten();
    await reader.close();
  }
}

/** Where streams go on. A file that is shorter than that was emptied since: it is read from its start. */
function offsetsOf(
  place: LogPlace | undefined,
  segments: readonly Segment[],
  log: TaskLog,
): { readonly [K in LogStream]: number | undefined } {
  const offsetOf = (stream: LogStream): number | undefined => {
    const position = place?.[stream];
    if (position === undefined || !/^\d{1,15}$/.test(position)) return undefined;
    const end = segments.findLast((segment) => segment.stream === stream)?.to ?? 0;
    return Number(position) <= end ? Number(position) : log.start(stream);
  };
  return { stdout: offsetOf('stdout'), stderr: offsetOf('stderr') };
}

function toSegments(records: readonly LogRecord[]): Segment[] {
  const position: Record<LogStream, number> = { stdout: 0, stderr: 0 };
  const segments: Segment[] = [];
  for (const record of records) {
    const { stream, offset, timeMs, trimmed, gap } = record;
    if (!trimmed && offset > position[stream]) {
      segments.push({ stream, from: position[stream], to: offset, timeMs });
    }
    position[stream] = offset;
    if (gap === true) segments.push(gapOf(record));
  }
  return segments;
}

function gapOf({ stream, offset, timeMs }: LogRecord): Segment {
  return { stream, from: offset, to: offset, timeMs, isGap: true };
}
