import { constants, open } from 'node:fs/promises';
import type { Shape } from '@swarm/api';
import { errnoOf } from '../runtime/runtime-error.js';

/** One of the node's own files does not hold what was written there. */
export class DamagedFileError extends Error {
  readonly path: string;

  constructor(path: string, reason: string) {
    super(`${path} is damaged (${reason})`);
    this.path = path;
  }
}

/** Follows no link, and does not wait for a writer of a pipe. */
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Reads a small JSON file of the node.
 * @param limitBytes largest file it reads
 * @returns undefined if there is no such file
 * @throws DamagedFileError if it is not a regular file, too large, not JSON or of another shape; errors of
 * the file system
 */
export async function readJsonFile<T>(
  path: string,
  shape: Shape<T>,
  limitBytes: number,
): Promise<T | undefined> {
  const text = await readText(path, limitBytes);
  if (text === undefined) return undefined;
  try {
    return shape.read(JSON.parse(text));
  } catch (error) {
    throw new DamagedFileError(path, (error as Error).message);
  }
}

async function readText(path: string, limitBytes: number): Promise<string | undefined> {
  const file = await open(path, OPEN).catch((error: unknown) => {
    const code = errnoOf(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw new DamagedFileError(path, 'it is a symbolic link');
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new DamagedFileError(path, 'it is not a regular file');
    if (found.size > limitBytes)
      throw new DamagedFileError(
        path,
        `it has ${found.size} bytes, but at most ${limitBytes} are allowed`,
      );
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
