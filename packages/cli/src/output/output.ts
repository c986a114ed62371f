import { showControls } from '@swarm/api';
import { TaskOutput } from './task-output.js';

/**
 * The one way of every command to standard output and standard error. A terminal gets no control
 * character that a node, a task or a service brought along; a pipe gets results and logs as they are.
 */
export interface Output {
  /** A result, one line or more. Line feeds and tabs are its layout: see `shown` for strings in it. */
  line(text: string): void;
  /** A message for people, on standard error. */
  error(text: string): void;
  /** Bytes that tasks wrote. */
  write(chunk: string | Uint8Array): void;
  writeError(chunk: string | Uint8Array): void;
  /** Nothing more comes: writes what waited for the rest of a character. */
  end(): void;
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean;
}

/** A stream of the process, as far as it is used. */
export interface Sink {
  write(chunk: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
}

/** What text for people is laid out with. */
const LAYOUT = '\n\t';

export function createOutput(stdout: Sink, stderr: Sink): Output {
  const isTerminal = stdout.isTTY === true;
  const out = taskWriter(stdout);
  const err = taskWriter(stderr);
  return {
    line: (text) => stdout.write(`${isTerminal ? showControls(text, LAYOUT) : text}\n`),
    // Also to a file or a pipe: it is read by people sooner or later.
    error: (text) => stderr.write(`${showControls(text, LAYOUT)}\n`),
    write: out.write,
    writeError: err.write,
    end() {
      out.end();
      err.end();
    },
    isTerminal,
  };
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
