import { LOG_FRAME_LIMIT_BYTES, LOG_PART_BYTES } from './limits.js';

export interface LogEntry {
  readonly stream: 'stdout' | 'stderr';
  /** RFC 3339 in UTC with nanoseconds. */
  readonly timestamp: string;
  /** With its newline, if it has one. */
  readonly data: Buffer;
}

const HEADER_BYTES = 8;
const STDERR = 2;
/** Stream of the engine's own errors about the log, as text. */
const SYSTEM_ERROR = 3;
const NEWLINE = 10;
const SPACE = 32;

/**
 * Decodes the engine's log, requested with timestamps. Without a terminal it comes in frames, one per line:
 * stream, three zeros, length in big endian, then time, space and line (Engine API, "Attach to a
 * container"). With a terminal it is plain bytes, with the time before each line and, in lines longer than
 * 16 KiB, before each part of that size.
 */
export class LogDecoder {
  readonly #tty: boolean;
  #rest: Buffer = Buffer.alloc(0);
  /** Of the part whose end has not arrived yet; terminal only. */
  #timestamp: string | undefined;

  constructor(tty: boolean) {
    this.#tty = tty;
  }

  /** @throws Error when this is not a log, or the engine reports its own failure in it */
  push(chunk: Buffer): LogEntry[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    return this.#tty ? this.#lines(false) : this.#frames();
  }

  /** Returns what is left when the log ends: a terminal's last line without a newline. */
  end(): LogEntry[] {
    return this.#tty ? this.#lines(true) : [];
  }

  #frames(): LogEntry[] {
    const entries: LogEntry[] = [];
    while (this.#rest.length >= HEADER_BYTES) {
      const size = this.#rest.readUInt32BE(4);
      if (size > LOG_FRAME_LIMIT_BYTES)
        throw new Error('the engine sent an invalid log: a frame is too long');
      if (this.#rest.length < HEADER_BYTES + size) break;
      const payload = this.#rest.subarray(HEADER_BYTES, HEADER_BYTES + size);
      const kind = this.#rest[0];
      this.#rest = this.#rest.subarray(HEADER_BYTES + size);
      if (kind === SYSTEM_ERROR) throw new Error(payload.toString('utf8').trim());
      const space = payload.indexOf(SPACE);
      entries.push({
        stream: kind === STDERR ? 'stderr' : 'stdout',
        timestamp: inUtc(payload.toString('latin1', 0, space)),
        data: Buffer.from(payload.subarray(space + 1)),
      });
    }
    return entries;
  }

  #lines(ended: boolean): LogEntry[] {
    const entries: LogEntry[] = [];
    while (this.#rest.length > 0) {
      if (this.#timestamp === undefined) {
        const space = this.#rest.indexOf(SPACE);
        if (space < 0) break;
        this.#timestamp = inUtc(this.#rest.toString('latin1', 0, space));
        this.#rest = this.#rest.subarray(space + 1);
      }
      const newline = this.#rest.indexOf(NEWLINE);
      const whole = newline >= 0 && newline < LOG_PART_BYTES;
      if (!whole && this.#rest.length < LOG_PART_BYTES && !ended) break;
      const data = Buffer.from(this.#rest.subarray(0, whole ? newline + 1 : LOG_PART_BYTES));
      if (data.length > 0) entries.push({ stream: 'stdout', timestamp: this.#timestamp, data });
      this.#rest = this.#rest.subarray(data.length);
      this.#timestamp = undefined;
    }
    return entries;
  }
}

/** Some log drivers write the engine's local time zone. */
function inUtc(timestamp: string): string {
  if (timestamp.endsWith('Z')) return timestamp;
  const [, fraction = ''] = /\.(\d+)/.exec(timestamp) ?? [];
  const date = new Date(timestamp);
  if (Number.isNaN(date.getTime())) throw new Error('the engine sent a log line without a time');
  return `${date.toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}
