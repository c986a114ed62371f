import { type FileHandle, open } from 'node:fs/promises';
import type { LogLine } from '@swarm/api';
import { errnoOf } from '../runtime-error.js';
import type { LogRecord, LogStream } from './log-index.js';
import type { TaskLog } from './task-log.js';

/** Longer lines come in pieces of this size, as Docker's do. */
export const LOG_LINE_LIMIT_BYTES = 16 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** How far back the beginning of a line is looked for: the longest that readers show as one. */
const LINE_SEARCH_BYTES = 1024 * 1024;
const NEWLINE = 10;
export const STREAMS: readonly LogStream[] = ['stdout', 'stderr'];
/** Time of a mark, which is no line and is never shown. */
const MARK_TIMESTAMP = '1970-01-01T00:00:00.000000000Z';

/** A range of one file, written by a certain time. */
export interface Segment {
  readonly stream: LogStream;
  readonly from: number;
  readonly to: number;
  readonly timeMs: number;
  /** The empty range where the disk was full: lines may be missing. */
  readonly isGap?: boolean;
}

/** Reads ranges of a task's two log files as lines, each from a position of its own. */
export class TaskLogReader {
  readonly #log: TaskLog;
  readonly #taskId: string;
  readonly #files = new Map<LogStream, FileHandle | undefined>();
  readonly #position = new Map<LogStream, number>();
  /** Where gaps are. */
  readonly #gaps: Record<LogStream, number[]> = { stdout: [], stderr: [] };
  /** The unfinished line of each stream. */
  readonly #carry = new Map<LogStream, { bytes: Buffer; timeMs: number }>();

  constructor(log: TaskLog, taskId: string) {
    this.#log = log;
    this.#taskId = taskId;
  }

  /** Announces gaps: no line goes across one. */
  know(segments: readonly Segment[]): void {
    for (const { stream, from, isGap } of segments)
      if (isGap === true) this.#gaps[stream].push(from);
  }

  /**
   * Where the last `tail` lines begin: a segment, an offset in it, and how many unfinished lines to skip.
   * Reads backwards, little more than those lines.
   */
  async findTail(
    segments: readonly Segment[],
    tail: number,
  ): Promise<{ at: number; offset?: number; skipLines: number }> {
    if (tail < 0) return { at: 0, skipLines: 0 };
    // An unfinished last line of a stream counts as a line.
    let lines = 0;
    for (const stream of STREAMS) {
      const last = segments.findLast((segment) => segment.stream === stream);
      if (last === undefined) continue;
      const byte = await this.#bytes(stream, last.to - 1, last.to);
      if (byte.length > 0 && byte[0] !== NEWLINE) lines += 1;
    }
    for (let at = segments.length; at > 0; at -= 1) {
      if (lines >= tail) return { at, skipLines: lines - tail };
      const found = await this.#lastLines(segments[at - 1]!, tail - lines);
      if (found.offset !== undefined) return { at: at - 1, offset: found.offset, skipLines: 0 };
      lines += found.lines;
    }
    return { at: 0, skipLines: Math.max(0, lines - tail) };
  }

  /** Where the last lines of a segment begin; when it has no more than these, only how many it has. */
  async #lastLines(
    { stream, from, to }: Segment,
    wanted: number,
  ): Promise<{ lines: number; offset?: number }> {
    let lines = 0;
    const start = Math.max(from, this.#log.start(stream));
    for (let end = to; end > start; ) {
      const begin = Math.max(start, end - CHUNK_BYTES);
      const bytes = await this.#bytes(stream, begin, end);
      for (let at = bytes.lastIndexOf(NEWLINE); at >= 0; ) {
        if (lines === wanted) return { lines, offset: begin + at + 1 };
        lines += 1;
        at = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1);
      }
      end = begin;
    }
    return { lines };
  }

  /**
   * Sets the read position of each stream to the beginning of the line that it is in.
   * @param offset in the first segment that is read
   * @returns what to read first: segments that end in a line which the rest of the log goes on with
   */
  async seek(segments: readonly Segment[], at: number, offset?: number): Promise<Segment[]> {
    const unfinished: Segment[] = [];
    for (const stream of STREAMS) {
      const next = segments.slice(at).find((segment) => segment.stream === stream);
      const before = segments.slice(0, at).findLast((segment) => segment.stream === stream);
      if (next !== undefined && next === segments[at] && offset !== undefined) {
        this.#position.set(stream, offset);
        continue;
      }
      const position = next?.from ?? before?.to;
      if (position === undefined) continue;
      const start = await this.#lineAt(stream, position);
      this.#position.set(stream, start);
      if (next === undefined && before !== undefined && start < position) unfinished.push(before);
    }
    return unfinished;
  }

  /** Where the line begins that a position is in; the position itself when that is too far away. */
  async #lineAt(stream: LogStream, position: number): Promise<number> {
    const gap = this.#gaps[stream].findLast((offset) => offset <= position) ?? 0;
    const start = Math.max(this.#log.start(stream), gap);
    const least = Math.max(start, position - LINE_SEARCH_BYTES);
    for (let end = position; end > least; ) {
      const begin = Math.max(least, end - CHUNK_BYTES);
      const bytes = await this.#bytes(stream, begin, end);
      const newline = bytes.lastIndexOf(NEWLINE);
      if (newline >= 0) return begin + newline + 1;
      end = begin;
    }
    return least === start ? least : position;
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
    if (segment.isGap === true) {
      yield* this.#gap(segment);
      return;
    }
    // The segment may have been read already: a record can arrive through the index and live.
    let at = this.#position.get(stream) ?? segment.from;
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

  /** The mark of a gap, instead of a line that was cut short by it. */
  *#gap({ stream, from, timeMs }: Segment): Generator<LogLine> {
    if ((this.#position.get(stream) ?? from) > from) return;
    const cutBytes = this.#carry.get(stream)?.bytes.length ?? 0;
    this.#carry.delete(stream);
    this.#position.set(stream, from);
    const cut = cutBytes === 0 ? '' : `, and a line was cut after ${cutBytes} bytes`;
    const since = new Date(Math.round(timeMs)).toISOString();
    const text = `[swarm: the disk of this node was full: what the task wrote after ${since} may be missing here${cut}]\n`;
    yield this.#line(stream, Buffer.from(text), timeMs, from, false);
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
