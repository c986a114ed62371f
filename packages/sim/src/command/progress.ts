import type { WriteStream } from 'node:tty';
import type { Totals } from '../run/totals.js';

/** Rewrites one line on a terminal; elsewhere prints a line now and then. */
const TERMINAL_MS = 1_000;
const LINE_MS = 30_000;

/** Reports the progress of a long run. */
export class ProgressLine {
  readonly #stream: WriteStream;
  readonly #elapsedMs: () => number;
  #toldMs = 0;
  #open = false;

  constructor(stream: WriteStream, elapsedMs: () => number) {
    this.#stream = stream;
    this.#elapsedMs = elapsedMs;
  }

  show(totals: Totals): void {
    const stream = this.#stream;
    const nowMs = this.#elapsedMs();
    if (nowMs - this.#toldMs < (stream.isTTY ? TERMINAL_MS : LINE_MS)) return;
    this.#toldMs = nowMs;
    this.#open = stream.isTTY;
    stream.write(stream.isTTY ? `\r${totals.describe(nowMs)} ` : `${totals.describe(nowMs)}\n`);
  }

  /** Prints at once, on a line of its own. */
  say(line: string): void {
    this.end();
    this.#stream.write(`${line}\n`);
  }

  /** Makes room for other output. */
  end(): void {
    if (this.#open) this.#stream.write('\n');
    this.#open = false;
  }
}
