import { appendFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { errnoOf } from '../runtime-error.js';

export type LogStream = 'stdout' | 'stderr';

/** "At `timeMs`, `stream` had grown to `offset`." A line gets the time of the record that ends it. */
export interface LogRecord {
  readonly stream: LogStream;
  readonly offset: number;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** Everything before `offset` is gone: the log was trimmed up to here. */
  readonly trimmed: boolean;
  /** What should stand at `offset` may be missing: the disk was full. The time is that of what follows. */
  readonly gap?: boolean;
}

const RECORD_BYTES = 16;
/** Records kept in memory before they are written. */
const UNWRITTEN_LIMIT = 64;
/** Beyond this size, drops every second old record: times get coarser, never out of order. */
const INDEX_LIMIT_BYTES = 1024 * 1024;
/** The newest records stay: a client that connects again goes on by the times that it has seen. */
const KEPT_RECORDS = INDEX_LIMIT_BYTES / RECORD_BYTES / 4;

/** The last byte of a record. An earlier version takes a gap for a plain record. */
const FLAGS = { plain: 0, trimmed: 1, gap: 2 } as const;

/** The times of a task's two log files, in one file: 8 bytes of time, 6 of offset, stream, flag. */
export class LogIndex {
  readonly #path: string;
  #unwritten: LogRecord[] = [];
  #bytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  add(record: LogRecord): void {
    this.#unwritten.push(record);
    if (this.#unwritten.length >= UNWRITTEN_LIMIT) this.flush();
  }

  /**
   * Adds the mark of a gap and writes it at once: a daemon whose disk is full may not live to do it later. The
   * last block of the index mostly has room for it, if other records stay out.
   */
  mark(record: LogRecord): void {
    this.#unwritten.push(record);
    try {
      this.flush();
    } catch {
      this.#unwritten = this.#unwritten.filter(
        (one, at, all) =>
          one.gap === true || one.trimmed || all.findLastIndex(isSameKind(one)) === at,
      );
      this.flush();
    }
  }

  /** Writes the records that are only in memory; a crash loses at most the times of those. */
  flush(): void {
    if (this.#unwritten.length === 0) return;
    const bytes = encode(this.#unwritten);
    try {
      appendFileSync(this.#path, bytes, { mode: 0o600 });
    } catch (error) {
      this.#cutBack();
      // A full disk must not fill the memory as well: times get coarser.
      const old = this.#unwritten.length - UNWRITTEN_LIMIT / 2;
      const kept = this.#unwritten.filter((record, at) => at >= old || record.gap === true);
      this.#unwritten = kept.slice(-UNWRITTEN_LIMIT);
      throw error;
    }
    this.#unwritten = [];
    this.#bytes += bytes.length;
    if (this.#bytes > INDEX_LIMIT_BYTES) {
      this.rewrite((records) => {
        const old = records.length - KEPT_RECORDS;
        return records.filter(
          (record, at) => at >= old || record.trimmed || record.gap === true || at % 2 === 1,
        );
      });
    }
  }

  /** Takes away a record that was written in part: the next ones would be read from its middle. */
  #cutBack(): void {
    try {
      truncateSync(this.#path, this.#bytes);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }

  /** All records, oldest first. */
  read(): LogRecord[] {
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      bytes = Buffer.alloc(0);
    }
    this.#bytes = bytes.length - (bytes.length % RECORD_BYTES);
    if (this.#bytes !== bytes.length) this.#cutBack();
    return [...decode(bytes), ...this.#unwritten];
  }

  rewrite(change: (records: readonly LogRecord[]) => readonly LogRecord[]): void {
    const bytes = encode(change(this.read()));
    writeFileSync(`${this.#path}.new`, bytes, { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
    this.#unwritten = [];
    this.#bytes = bytes.length;
  }
}

function isSameKind(record: LogRecord): (other: LogRecord) => boolean {
  return ({ stream, gap }) => stream === record.stream && gap !== true;
}

function encode(records: readonly LogRecord[]): Buffer {
  const bytes = Buffer.alloc(records.length * RECORD_BYTES);
  records.forEach((record, index) => {
    const at = index * RECORD_BYTES;
    bytes.writeDoubleLE(record.timeMs, at);
    bytes.writeUIntLE(record.offset, at + 8, 6);
    bytes.writeUInt8(record.stream === 'stdout' ? 1 : 2, at + 14);
    const flag = record.gap === true ? FLAGS.gap : record.trimmed ? FLAGS.trimmed : FLAGS.plain;
    bytes.writeUInt8(flag, at + 15);
  });
  return bytes;
}

function decode(bytes: Buffer): LogRecord[] {
  const records: LogRecord[] = [];
  // Skips a record that a crash cut short.
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    records.push({
      timeMs: bytes.readDoubleLE(at),
      offset: bytes.readUIntLE(at + 8, 6),
      stream: bytes.readUInt8(at + 14) === 1 ? 'stdout' : 'stderr',
      trimmed: bytes.readUInt8(at + 15) === FLAGS.trimmed,
      ...(bytes.readUInt8(at + 15) === FLAGS.gap && { gap: true }),
    });
  }
  return records;
}
