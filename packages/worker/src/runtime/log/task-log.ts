import { execFile } from 'node:child_process';
import { closeSync, openSync, readSync, type Stats, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskSpace } from './disk-space.js';
import { LogIndex, type LogRecord, type LogStream } from './log-index.js';

const NEWLINE = 10;
const LINE_SEARCH_BYTES = 16 * 1024;
const STREAMS: readonly LogStream[] = ['stdout', 'stderr'];
/** Files are trimmed at multiples of this, so that the holes free whole blocks. */
const BLOCK_BYTES = 4096;
/** How far over its limit a log may grow before it is trimmed, as a fraction of the limit. */
const SLACK = 0.25;
/** Disk space that a trimmed log may use, as a multiple of its limit. */
const CUT_DISK_FACTOR = 4;
/** A trimmed file keeps its apparent size; past this size it is emptied (ext4 ends at 16 TiB). */
const APPARENT_LIMIT_BYTES = 2 ** 40;
/** Unit of `st_blocks` (stat(2)). */
const STAT_BLOCK_BYTES = 512;
/** The last millisecond of the year 9999. */
const LAST_TIME_MS = 253_402_300_799_999;

interface StreamState {
  size: number;
  /** First byte that still exists. */
  start: number;
  /** Disk space in use, and after the last cut. */
  diskBytes: number;
  cutDiskBytes: number;
  /** Its size when the disk was last seen full; undefined if there was room for it. */
  stuckAt?: number | undefined;
  /** Its size at the last mark of a gap. */
  gapAt?: number;
}

/**
 * The log of one task: two files that the task itself appends to, and an index of times made by sampling
 * their sizes. Bounds the files without the task noticing: punches the oldest part out of the file
 * (fallocate(2), FALLOC_FL_PUNCH_HOLE), so that no line gets lost in a copy and offsets stay valid.
 *
 * The files belong to the task, which can also write into the holes and set any size and time.
 */
export class TaskLog {
  readonly #folder: string;
  readonly #limitBytes: number;
  readonly #index: LogIndex;
  readonly #listeners = new Set<(record: LogRecord | 'end') => void>();
  readonly #state: Record<LogStream, StreamState> = {
    stdout: { size: 0, start: 0, cutDiskBytes: 0, diskBytes: 0 },
    stderr: { size: 0, start: 0, cutDiskBytes: 0, diskBytes: 0 },
  };
  #trimming = false;
  #ended = false;

  /** @param limitBytes for each of the two streams */
  constructor(folder: string, limitBytes: number) {
    this.#folder = folder;
    this.#limitBytes = Math.max(limitBytes, BLOCK_BYTES);
    this.#index = new LogIndex(join(folder, 'log.index'));
    for (const record of this.#index.read()) {
      const state = this.#state[record.stream];
      state.size = record.offset;
      if (record.trimmed) state.start = record.offset;
      if (record.gap === true) state.gapAt = record.offset;
    }
  }

  path(stream: LogStream): string {
    return join(this.#folder, `${stream}.log`);
  }

  /** First byte of the stream that still exists. */
  start(stream: LogStream): number {
    return this.#state[stream].start;
  }

  /** Whether the log is complete. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Marks a gap where the disk leaves no room for a stream. A task writes its log itself: what does not fit is
   * refused to the task, mostly from the middle of a line on, and nobody counts it.
   * @param isLast whether the task has ended
   */
  lookAtDisk({ isFull, blockBytes }: DiskSpace, isLast = false): void {
    const news: LogRecord[] = [];
    for (const stream of STREAMS) {
      const state = this.#state[stream];
      // In a block that is begun there is room.
      const isStuck = isFull && state.size > 0 && state.size % (blockBytes ?? 1) === 0;
      // Twice, since a file that grows passes the ends of its blocks.
      const isAgain = isStuck && (isLast || state.stuckAt === state.size);
      state.stuckAt = isStuck ? state.size : undefined;
      if (!isAgain || state.gapAt === state.size) continue;
      const stat = statSync(this.path(stream), { throwIfNoEntry: false });
      if (stat?.size !== state.size) continue;
      state.gapAt = state.size;
      news.push({ stream, offset: state.size, timeMs: timeOf(stat), trimmed: false, gap: true });
    }
    try {
      for (const record of news) this.#index.mark(record);
    } finally {
      for (const record of news) for (const listener of this.#listeners) listener(record);
    }
  }

  /** Looks at the files' sizes; true if they grew. Uses the kernel's time of the last write. */
  sample(): boolean {
    const news: LogRecord[] = [];
    for (const stream of STREAMS) {
      const stat = statSync(this.path(stream), { throwIfNoEntry: false });
      if (stat === undefined) continue;
      const timeMs = timeOf(stat);
      const state = this.#state[stream];
      const { size } = state;
      state.diskBytes = stat.blocks * STAT_BLOCK_BYTES;
      state.cutDiskBytes = Math.min(state.cutDiskBytes, state.diskBytes);
      if (stat.size > APPARENT_LIMIT_BYTES) {
        truncateSync(this.path(stream), 0);
        if (size > 0) news.push({ stream, offset: 0, timeMs, trimmed: true });
        continue;
      }
      if (stat.size < size) news.push({ stream, offset: 0, timeMs, trimmed: true });
      if (stat.size !== size && stat.size > 0) {
        news.push({ stream, offset: stat.size, timeMs, trimmed: false });
      }
    }
    news.sort((a, b) => a.timeMs - b.timeMs);
    for (const record of news) this.#add(record);
    try {
      if (news.length > 0) this.#trim();
      else this.#emptyHoles();
      // A time that a reader has seen outlives this daemon: clients that connect again go on by it.
      if (news.length > 0 && this.#listeners.size > 0) this.flush();
    } finally {
      for (const record of news) for (const listener of this.#listeners) listener(record);
    }
    return news.length > 0;
  }

  flush(): void {
    this.#index.flush();
  }

  /** Takes the last sample; followers end. */
  end(): void {
    if (this.#ended) return;
    try {
      this.sample();
      this.flush();
    } finally {
      this.#ended = true;
      for (const listener of this.#listeners) listener('end');
      this.#listeners.clear();
    }
  }

  records(): LogRecord[] {
    return this.#index.read();
  }

  /** Calls back for each further record, and with `end`. Returns the function that stops that. */
  listen(listener: (record: LogRecord | 'end') => void): () => void {
    if (this.#ended) listener('end');
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #add(record: LogRecord): void {
    const state = this.#state[record.stream];
    state.size = record.offset;
    if (record.trimmed) {
      state.start = record.offset;
      delete state.gapAt;
    }
    this.#index.add(record);
  }

  #trim(): void {
    if (this.#trimming) return;
    const stream = STREAMS.find((name) => {
      const { size, start } = this.#state[name];
      return size - start > this.#limitBytes * (1 + SLACK);
    });
    if (stream === undefined) {
      this.#emptyHoles();
      return;
    }
    const state = this.#state[stream];
    const cut = Math.floor((state.size - this.#limitBytes) / BLOCK_BYTES) * BLOCK_BYTES;
    // Readers skip what is about to go, and begin with a whole line.
    const start = this.#nextLine(stream, cut, state.size);
    state.start = start;
    this.#index.rewrite((records) => afterCut(records, stream, start));
    this.#punch(stream, cut);
  }

  /** Cuts again where the task has written into a hole. */
  #emptyHoles(): void {
    if (this.#trimming) return;
    const stream = STREAMS.find((name) => {
      const { start, diskBytes, cutDiskBytes } = this.#state[name];
      return start >= BLOCK_BYTES && diskBytes - cutDiskBytes > this.#limitBytes;
    });
    if (stream === undefined) return;
    this.#punch(stream, Math.floor(this.#state[stream].start / BLOCK_BYTES) * BLOCK_BYTES);
  }

  #punch(stream: LogStream, cut: number): void {
    this.#trimming = true;
    const args = ['--punch-hole', '--offset', '0', '--length', String(cut), this.path(stream)];
    execFile('fallocate', args, { timeout: 10_000 }, (error) => {
      this.#trimming = false;
      // It may be gone together with its task.
      const stat = statSync(this.path(stream), { throwIfNoEntry: false });
      if (stat === undefined) return;
      // Some file systems keep space past the end; if there is more, the task wrote it meanwhile.
      const mostBytes = this.#limitBytes * CUT_DISK_FACTOR;
      this.#state[stream].cutDiskBytes = Math.min(stat.blocks * STAT_BLOCK_BYTES, mostBytes);
      // A file system without holes: start the log over, so that the disk does not fill up.
      if (error !== null && !this.#ended) truncateSync(this.path(stream), 0);
    });
  }

  /** Where the first line after `from` begins; `from` itself if that is far away. */
  #nextLine(stream: LogStream, from: number, size: number): number {
    const bytes = Buffer.alloc(Math.min(LINE_SEARCH_BYTES, size - from));
    const file = openSync(this.path(stream), 'r');
    try {
      const length = readSync(file, bytes, 0, bytes.length, from);
      return from + bytes.subarray(0, length).indexOf(NEWLINE) + 1;
    } finally {
      closeSync(file);
    }
  }
}

/** Time of the last write; a task can set any on its own files. */
function timeOf({ mtimeMs }: Stats): number {
  return Math.min(Math.max(0, mtimeMs), LAST_TIME_MS);
}

/** The index after a cut: one mark replaces the stream's records before it. */
function afterCut(records: readonly LogRecord[], stream: LogStream, cut: number): LogRecord[] {
  const kept: LogRecord[] = [];
  let marked = false;
  for (const record of records) {
    if (record.stream !== stream) {
      kept.push(record);
      continue;
    }
    if (record.offset <= cut) continue;
    if (!marked) kept.push({ stream, offset: cut, timeMs: record.timeMs, trimmed: true });
    marked = true;
    kept.push(record);
  }
  return kept;
}
