import { open } from 'node:fs/promises';
import type { Daemon } from './daemon.js';

const LINE_LIMIT = 600;

/** A line of a daemon's log. */
export interface LogLine {
  readonly level: string;
  readonly text: string;
}

/** Follows a daemon's log. */
export class LogTail {
  readonly #daemon: Daemon;
  #at: number;
  #rest = '';

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
    this.#at = daemon.logBytes();
  }

  /** Bytes read so far, including those logged before this object existed. */
  get bytes(): number {
    return this.#at;
  }

  /** Complete lines since the last call. */
  async read(): Promise<LogLine[]> {
    const size = this.#daemon.logBytes();
    if (size === this.#at) return [];
    const file = await open(this.#daemon.logPath, 'r');
    try {
      const bytes = Buffer.alloc(size - this.#at);
      await file.read(bytes, 0, bytes.length, this.#at);
      this.#at = size;
      const lines = (this.#rest + bytes.toString()).split('\n');
      this.#rest = lines.pop()!;
      return lines.map(readLine);
    } finally {
      await file.close();
    }
  }
}

/** A line that is not JSON comes from Node itself: a crash, a warning. */
function readLine(line: string): LogLine {
  try {
    const { level } = JSON.parse(line) as { level?: unknown };
    return { level: String(level), text: line.slice(0, LINE_LIMIT) };
  } catch {
    return { level: 'raw', text: line.slice(0, LINE_LIMIT) };
  }
}
