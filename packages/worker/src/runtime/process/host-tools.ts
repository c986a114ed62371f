import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { RuntimeError } from '../runtime-error.js';

const TOOL_PATH = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin';

/** Whether the file is executable. */
function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Finds a program as execvp(3) does; undefined if it does not exist. */
export function findProgram(name: string, path: string, directory = '/'): string | undefined {
  if (name.includes('/')) {
    const file = isAbsolute(name) ? name : resolve(directory, name);
    return isExecutable(file) ? file : undefined;
  }
  return path
    .split(':')
    .map((folder) => join(resolve(directory, folder || '.'), name))
    .find(isExecutable);
}

/** Absolute paths of the host's own tools; looks up each once. */
export class HostTools {
  readonly #found = new Map<string, string>();

  /** @throws RuntimeError `rejected` naming the package if the tool is missing */
  path(name: string, packageName: string): string {
    const known = this.#found.get(name) ?? findProgram(name, TOOL_PATH);
    if (known === undefined) {
      throw new RuntimeError(
        'rejected',
        `The program ${name} is missing on this host; install ${packageName}.`,
      );
    }
    this.#found.set(name, known);
    return known;
  }
}
