import type { Output } from '../../src/command.js';

/** An output that keeps what it is given. */
export interface Recorder extends Output {
  readonly out: string;
  readonly err: string;
}

export function recorder(): Recorder {
  let out = '';
  let err = '';
  return {
    get out() {
      return out;
    },
    get err() {
      return err;
    },
    line(text) {
      out += `${text}\n`;
    },
    error(text) {
      err += `${text}\n`;
    },
    write(chunk) {
      out += Buffer.from(chunk).toString();
    },
    writeError(chunk) {
      err += Buffer.from(chunk).toString();
    },
    isTerminal: false,
  };
}
