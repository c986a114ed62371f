import { type FileHandle, open } from 'node:fs/promises';
import type { LogLine, LogOptions, LogPlace } from '@swarm/api';
import { errnoOf } from '../runtime-error.js';
import type { LogRecord, LogStream } from './log-index.js';
import type { TaskLog } from './task-log.js';

/** Longer lines come in pieces of this size, as Docker's do. */
export const LOG_LINE_LIMIT_BYTES = 16 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** Records a slow follower may lag behind; then the oldest are merged and their times get coarser. */
const FOLLOW_LIMIT = 4096;
const NEWLINE = 10;
const STREAMS: readonly LogStream[] = ['stdout', 'stderr'];
/** Time of a mark, which is no line and is never shown. */
const MARK_TIMESTAMP = '1970-01-01T00:00:00.000000000Z';

/** A range of one file, written by a certain time. */
interface Segment {
  readonly stream: LogStream;
  readonly from: number;
  readonly to: number;
  readonly timeMs: number;
}

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
  const reader = new LogReader(log, taskId);
  try {
    const wanted = (record: { stream: LogStream }): boolean => options[record.stream];
    const segments = toSegments(log.records()).filter(wanted);
    const offsets = offsetsOf(place, segments, log);
    const sinceMs =
      options.since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(options.since);
    const fresh = segments.filter(({ stream }) => offsets[stream] === undefined);
    const first = fresh.findIndex((segment) => Math.round(segment.timeMs) >= sinceMs);
    const recent = first < 0 ? [] : fresh.slice(first);
    const { at, skipLines } = await reader.findTail(recent, options.tail);
    await reader.seek(recent, at);
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
        else if (wanted(record)) yield* reader.readTo(record);
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
  for (const { stream, offset, timeMs, trimmed } of records) {
    if (!trimmed && offset > position[stream]) {
      segments.push({ stream, from: position[stream], to: offset, timeMs });
    }
    position[stream] = offset;
  }
  return segments;
}

class LogReader {
  readonly #log: TaskLog;
  readonly #taskId: string;
  readonly #files = new Map<LogStream, FileHandle | undefined>();
  readonly #position = new Map<LogStream, number>();
  /** The unfinished line of each stream. */
  readonly #carry = new Map<LogStream, { bytes: Buffer; timeMs: number }>();

  constructor(log: TaskLog, taskId: string) {
    this.#log = log;
    this.#taskId = taskId;
  }

  /** Where the last `tail` lines begin: a segment, and how many of its lines to skip. */
  async findTail(
    segments: readonly Segment[],
    tail: number,
  ): Promise<{ at: number; skipLines: number }> {
    if (tail < 0) return { at: 0, skipLines: 0 };
    // An unfinished last line of a stream counts as a line.
    let lines = 0;
    for (const stream of ['stdout', 'stderr'] as const) {
      const last = segments.findLast((segment) => segment.stream === stream);
      if (last === undefined) continue;
      const byte = await this.#bytes(stream, last.to - 1, last.to);
      if (byte.length > 0 && byte[0] !== NEWLINE) lines += 1;
    }
    for (let at = segments.length; at > 0; at -= 1) {
      if (lines >= tail) return { at, skipLines: lines - tail };
      lines += await this.#countLines(segments[at - 1]!);
    }
    return { at: 0, skipLines: Math.max(0, lines - tail) };
  }

  /** Sets the read position of each stream, with the beginning of the line it is in. */
  async seek(segments: readonly Segment[], at: number): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const next = segments.slice(at).find((segment) => segment.stream === stream);
      const before = segments.slice(0, at).findLast((segment) => segment.stream === stream);
      const position = next?.from ?? before?.to;
      if (position === undefined) continue;
      this.#position.set(stream, position);
      const from = Math.max(this.#log.start(stream), position - LOG_LINE_LIMIT_BYTES);
      const bytes = await this.#bytes(stream, from, position);
      const carry = bytes.subarray(bytes.lastIndexOf(NEWLINE) + 1);
      if (carry.length > 0) {
        this.#carry.set(stream, { bytes: carry, timeMs: (next ?? before)!.timeMs });
      }
    }
  }

  /** Where to start reading, unless a position is already set. */
  startAt(stream: LogStream, offset: number): void {
    if (!this.#position.has(stream)) this.#position.set(stream, offset);
  }

  /** The stream was trimmed or emptied. */
  restart(stream: LogStream, offset: number): void {
    this.#position.set(stream, offset);
    this.#carry.delete(stream);
  }

  readTo(record: LogRecord): AsyncGenerator<LogLine, void, undefined> {
    const from = this.#position.get(record.stream) ?? 0;
    return this.read({ stream: record.stream, from, to: record.offset, timeMs: record.timeMs });
  }

  async *read(segment: Segment): AsyncGenerator<LogLine, void, undefined> {
    const { stream, timeMs } = segment;
    // The segment may have been read already: a record can arrive through the index and live.
    let at = Math.max(segment.from, this.#position.get(stream) ?? 0);
    while (at < segment.to) {
      const start = this.#log.start(stream);
      if (at < start) {
        at = Math.min(start, segment.to);
        this.#carry.delete(stream);
        continue;
      }
      const bytes = await this.#bytes(stream, at, Math.min(segment.to, at + CHUNK_BYTES));
      if (bytes.length === 0) break;
      if (this.#log.start(stream) > at) continue; // Trimmed while we read: these may be zeros.
      at += bytes.length;
      this.#position.set(stream, at);
      yield* this.#lines(stream, bytes, timeMs);
    }
    this.#position.set(stream, Math.max(at, this.#position.get(stream) ?? 0));
  }

  /** Unfinished lines. */
  *rest(): Generator<LogLine> {
    for (const [stream, { bytes, timeMs }] of this.#carry) {
      yield this.#line(stream, bytes, timeMs, this.#position.get(stream) ?? 0, false);
    }
    this.#carry.clear();
  }

  /** An empty piece that says where the stream goes on. */
  mark(stream: LogStream): LogLine {
    const offset = (this.#position.get(stream) ?? 0) - (this.#carry.get(stream)?.bytes.length ?? 0);
    return {
      taskId: this.#taskId,
      stream,
      timestamp: MARK_TIMESTAMP,
      data: Buffer.alloc(0),
      partial: true,
      position: String(offset),
    };
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file?.close();
  }

  *#lines(stream: LogStream, chunk: Buffer, timeMs: number): Generator<LogLine> {
    const carry = this.#carry.get(stream)?.bytes;
    let bytes = carry === undefined ? chunk : Buffer.concat([carry, chunk]);
    this.#carry.delete(stream);
    // The chunk ends at the position.
    const end = this.#position.get(stream) ?? 0;
    while (bytes.length > 0) {
      const newline = bytes.indexOf(NEWLINE);
      const length = newline < 0 ? bytes.length : newline + 1;
      const isPiece = length > LOG_LINE_LIMIT_BYTES;
      if (newline < 0 && !isPiece) {
        // A copy, so that an unfinished line does not keep the whole chunk in memory.
        this.#carry.set(stream, { bytes: Buffer.from(bytes), timeMs });
        return;
      }
      const data = bytes.subarray(0, isPiece ? LOG_LINE_LIMIT_BYTES : length);
      bytes = bytes.subarray(data.length);
      yield this.#line(stream, data, timeMs, end - bytes.length, isPiece);
    }
  }

  #line(
    stream: LogStream,
    data: Buffer,
    timeMs: number,
    offset: number,
    partial: boolean,
  ): LogLine {
    const timestamp = new Date(Math.round(timeMs)).toISOString().replace('Z', '000000Z');
    const position = String(offset);
    const line = { taskId: this.#taskId, stream, timestamp, data, position };
    return partial ? { ...line, partial } : line;
  }

  async #countLines(segment: Segment): Promise<number> {
    let lines = 0;
    for (let at = Math.max(segment.from, this.#log.start(segment.stream)); at < segment.to; ) {
      const bytes = await this.#bytes(segment.stream, at, Math.min(segment.to, at + CHUNK_BYTES));
      if (bytes.length === 0) break;
      at += bytes.length;
      for (let next = bytes.indexOf(NEWLINE); next >= 0; next = bytes.indexOf(NEWLINE, next + 1)) {
        lines += 1;
      }
    }
    return lines;
  }

  async #bytes(stream: LogStream, from: number, to: number): Promise<Buffer> {
    if (!this.#files.has(stream))
      this.#files.set(stream, await openIfThere(this.#log.path(stream)));
    const file = this.#files.get(stream);
    if (file === undefined || to <= from) return Buffer.alloc(0);
    const { bytesRead, buffer } = await file.read(
      Buffer.allocUnsafe(to - from),
      0,
      to - from,
      from,
    );
    return buffer.subarray(0, bytesRead);
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
