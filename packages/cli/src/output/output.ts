// Importing all of the API would load it with every command.
import { showControls } from '@swarm/api/text';
import { type Color, colored, wantsColor } from './color.js';
import { DrawnLines, type LiveArea } from './live-area.js';
import { TaskOutput } from './task-output.js';

/**
 * Every command's only way to standard output and standard error. A terminal gets no control character that
 * came from a node, a task or a service; a pipe gets results and logs as they are.
 */
export interface Output {
  /** Prints a result, one line or more. Line feeds and tabs are its layout: see `shown` for strings in it. */
  line(text: string, color?: Color): void;
  /** Prints a message for people, on standard error. */
  error(text: string): void;
  /** Prints bytes that tasks wrote. */
  write(chunk: string | Uint8Array): void;
  writeError(chunk: string | Uint8Array): void;
  /** No more output: writes what waited for the rest of a character. */
  end(): void;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
  /** Width for laying out text for people. */
  readonly columns: number;
  /** Width of the terminal, whatever it is; undefined in a pipe or a file. */
  readonly window: number | undefined;
  /** Where lines can be redrawn; undefined where they cannot. */
  readonly live: LiveArea | undefined;
}

/** A stream of the process, as far as we use it. */
export interface Sink {
  write(chunk: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** For a window of unknown size: what terminals had for decades. */
const USUAL_COLUMNS = 80;
const USUAL_ROWS = 24;
/** Longer lines are hard to read, however wide the window. */
const TEXT_MAX_COLUMNS = 120;

/** Control characters that lay out text for people. */
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
      // To a file or a pipe, too: people read it sooner or later.
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
    get window() {
      return isTerminal ? stdout.columns || USUAL_COLUMNS : undefined;
    },
    live,
  };
}

function liveOn(stdout: Sink, color: boolean): DrawnLines {
  return new DrawnLines({
    write: (text) => stdout.write(text),
    // Read each time, because windows change. A terminal of unknown size says 0.
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
