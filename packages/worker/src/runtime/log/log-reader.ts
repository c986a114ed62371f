import { type FileHandle, open } from 'node:fs/promises';
import type { LogLine, LogOptions } from '@swarm/api';
import { errnoOf } from '../runtime-error.js';
import type { LogRecord, LogStream } from './log-index.js';
import type { TaskLog } from './task-log.js';

/** Splits longer lines into parts of this size, as Docker does. */
export const LOG_LINE_LIMIT_BYTES = 16 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** Records a slow follower may lag behind; then the oldest are merged and their times get coarser. */
const FOLLOW_LIMIT = 4096;
const NEWLINE = 10;

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

/** Reads a task's log: the lines of both streams, in order of time. */
export function readLog(log: TaskLog, taskId: string, options: LogOptions): AsyncIterable<LogLine> {
  return {
    [Symbol.asyncIterator]() {
      const stop: Stop = { stopped: false, wake: () => {} };
      const lines = generate(log, taskId, options, stop);
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
  options: LogOptions,
  stop: Stop,
): AsyncGenerator<LogLine, void, undefined> {
  log.sample();
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
    const sinceMs =
      options.since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(options.since);
    const first = segments.findIndex((segment) => segment.timeMs >= sinceMs);
    const recent = first < 0 ? [] : segments.slice(first);
    const { at, skipLines } = await reader.findTail(recent, options.tail);
    await reader.seek(recent, at);
    // Streams with nothing to read start at their end.
    for (const segment of segments) reader.startAt(segment.stream, segment.to);
    let skip = skipLines;
    for (const segment of recent.slice(at)) {
      for await (const line of reader.read(segment)) {
        if (skip > 0) skip -= 1;
        else yield line;
      }
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
    for (const line of reader.rest()) {
      if (skip > 0) skip -= 1;
      else yield line;
    }
  } finally {
    unlisten();
    await reader.close();
  }
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
    for (const [stream, { bytes, timeMs }] of this.#carry) yield this.#line(stream, bytes, timeMs);
    this.#carry.clear();
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file?.close();
  }

  *#lines(stream: LogStream, chunk: Buffer, timeMs: number): Generator<LogLine> {
    const carry = this.#carry.get(stream)?.bytes;
    let bytes = carry === undefined ? chunk : Buffer.concat([carry, chunk]);
    this.#carry.delete(stream);
    while (bytes.length > 0) {
      const newline = bytes.indexOf(NEWLINE);
      const end = newline < 0 ? bytes.length : newline + 1;
      if (end > LOG_LINE_LIMIT_BYTES) {
        yield this.#line(stream, bytes.subarray(0, LOG_LINE_LIMIT_BYTES), timeMs);
        bytes = bytes.subarray(LOG_LINE_LIMIT_BYTES);
      } else if (newline < 0) {
        // A copy, so that an unfinished line does not keep the whole chunk in memory.
        this.#carry.set(stream, { bytes: Buffer.from(bytes), timeMs });
        return;
      } else {
        yield this.#line(stream, bytes.subarray(0, end), timeMs);
        bytes = bytes.subarray(end);
      }
    }
  }

  #line(stream: LogStream, data: Buffer, timeMs: number): LogLine {
    const timestamp = new Date(Math.round(timeMs)).toISOString().replace('Z', '000000Z');
    return { taskId: this.#taskId, stream, timestamp, data };
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
