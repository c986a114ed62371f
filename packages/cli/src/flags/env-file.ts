import { closeSync, openSync, readSync } from 'node:fs';
import { systemProblem } from '@swarm/api/client';
import { UsageError } from '../command.js';

/** More would not fit into a request anyway. */
const ENV_FILE_LIMIT_BYTES = 1024 * 1024;
const BYTE_ORDER_MARK = '\ufeff';

/**
 * Reads `NAME=VALUE` lines, as `docker --env-file` does: skips empty lines and comments; a bare `NAME` takes
 * its value from the environment of the command.
 * @throws UsageError naming the file, and the line if one is wrong
 */
export function readEnvFile(path: string): string[] {
  const fail = (why: string): never => {
    throw new UsageError(`--env-file ${path}${why}`);
  };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(read(path));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return fail(`: ${error instanceof TypeError ? 'is not text in UTF-8' : systemProblem(error)}`);
  }
  return text
    .replace(BYTE_ORDER_MARK, '')
    .split(/\r?\n/)
    .flatMap((whole, at) => {
      const line = whole.trimStart();
      if (line === '' || line.startsWith('#')) return [];
      const name = line.split('=', 1)[0]!;
      if (name === '') fail(`, line ${at + 1}: no name before '='`);
      if (/\s/.test(name)) fail(`, line ${at + 1}: blanks in the name '${name}': use NAME=VALUE`);
      return [line];
    });
}

/** Reads at most the limit: the path may be a pipe or a device that never ends. */
function read(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(ENV_FILE_LIMIT_BYTES + 1);
    let length = 0;
    for (;;) {
      const count = readSync(file, buffer, length, buffer.length - length, null);
      length += count;
      if (count === 0) return buffer.subarray(0, length);
      if (length > ENV_FILE_LIMIT_BYTES)
        throw new UsageError(
          `--env-file ${path}: is larger than ${ENV_FILE_LIMIT_BYTES / 1024} KiB`,
        );
    }
  } finally {
    closeSync(file);
  }
}
