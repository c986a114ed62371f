// The whole of the API would be loaded with every command.
import { showControls } from '@swarm/api/text';
import { type Color, colored, wantsColor } from './color.js';
import { DrawnLines, type LiveArea } from './live-area.js';
import { TaskOutput } from './task-output.js';

/**
 * The one way of every command to standard output and standard error. A terminal gets no control
 * character that a node, a task or a service brought along; a pipe gets results and logs as they are.
 */
export interface Output {
  /** A result, one line or more. Line feeds and tabs are its layout: see `shown` for strings in it. */
  line(text: string, color?: Color): void;
  /** A message for people, on standard error. */
  error(text: string): void;
  /** Bytes that tasks wrote. */
  write(chunk: string | Uint8Array): void;
  writeError(chunk: string | Uint8Array): void;
  /** Nothing more comes: writes what waited for the rest of a character. */
  end(): void;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  /** Width that text for people is laid out for. */
  readonly columns: number;
  /** Where lines can be drawn over; undefined where they cannot. */
  readonly live: LiveArea | undefined;
}

/** A stream of the process, as far as it is used. */
export interface Sink {
  write(chunk: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** A window that nobody told the size of: what terminals had for decades. */
const USUAL_COLUMNS = 80;
const USUAL_ROWS = 24;
/** Longer lines are hard to read, however wide the window is. */
const TEXT_MAX_COLUMNS = 120;

/** What text for people is laid out with. */
const LAYOUT = '\n\t';

export function createOutput(stdout: Sink, stderr: Sink, env: NodeJS.ProcessEnv = {}): Output {
  const isTerminal = stdout.isTTY === true;
  const out = taskWriter(stdout);
  const err = taskWriter(stderr);
  const colorful = wantsColor(env, isTerminal);
  const live = isTerminal && env.TERM !== 'dumb' ? liveOn(stdout, colorful) : undefined;
  return {
    line(text, color) {
      live?.leave();
      const shown = isTerminal ? showControls(text, LAYOUT) : text;
      stdout.write(`${color !== undefined && colorful ? colored(shown, color) : shown}\n`);
    },
    error(text) {
      live?.leave();
      // Also to a file or a pipe: it is read by people sooner or later.
      stderr.write(`${showControls(text, LAYOUT)}\n`);
    },
    write(chunk) {
      live?.leave();
      out.write(chunk);
    },
    writeError(chunk) {
      live?.leave();
      err.write(chunk);
    },
    end() {
      out.end();
      err.end();
    },
    isTerminal,
    get columns() {
      return isTerminal
        ? Math.min(stdout.columns || USUAL_COLUMNS, TEXT_MAX_COLUMNS)
        : USUAL_COLUMNS;
    },
    live,
  };
}

function liveOn(stdout: Sink, color: boolean): DrawnLines {
  return new DrawnLines({
    write: (text) => stdout.write(text),
    // Read each time: windows change. A terminal of unknown size says 0.
    get columns() {
      return stdout.columns || USUAL_COLUMNS;
    },
    get rows() {
      return stdout.rows || USUAL_ROWS;
    },
    color,
  });
}

function taskWriter(sink: Sink): Pick<Output, 'write' | 'end'> {
  if (sink.isTTY !== true) return { write: (chunk) => sink.write(chunk), end() {} };
  const text = new TaskOutput();
  return {
    write: (chunk) => sink.write(text.push(chunk)),
    end() {
      const rest = text.end();
      if (rest !== '') sink.write(rest);
    },
  };
}
