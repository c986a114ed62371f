import { randomBytes } from 'node:crypto';
import { constants, createWriteStream, statSync } from 'node:fs';
import { link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { entryAt, isSystemError, systemProblem } from '@swarm/api/client';
import { UsageError } from '../command.js';
import { PRIVATE_FILE } from './private-folder.js';

/** Errors of file systems without hard links (vfat, some with FUSE). */
const NO_LINKS: readonly unknown[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Writes a file that only its owner may read, and that exists completely or not at all: writes it under an
 * unguessable name, checks it, syncs it, then gives it its own name. Replaces and follows nothing.
 * @param body called once nothing exists at the path
 * @param check reads what was written; if it throws, no file is left
 * @throws UsageError when something exists at the path
 */
export async function writeNewFile<T>(
  path: string,
  body: () => Promise<Readable>,
  check: (path: string) => Promise<T>,
): Promise<T> {
  if (entryAt(path) !== undefined) throw exists(path);
  const folder = dirname(path);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UsageError(`${path}: there is no folder ${folder}: create it, or use another path`);
  const part = `${path}.${randomBytes(8).toString('hex')}.part`;
  // Numbers are correct for open(2); the types only know the letters.
  const flags = CREATE as unknown as string;
  try {
    const source = await body();
    await pipeline(source, createWriteStream(part, { mode: PRIVATE_FILE, flags, flush: true }));
    const result = await check(part);
    await giveName(part, path);
    await syncFolder(folder);
    return result;
  } catch (error) {
    // The name of the part means nothing to the user.
    if (isSystemError(error) && (error.path === part || error.syscall === 'write'))
      throw new UsageError(`${path}: ${systemProblem(error)}`);
    throw error;
  } finally {
    await rm(part, { force: true });
  }
}

async function giveName(part: string, path: string): Promise<void> {
  try {
    await link(part, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw exists(path);
    if (!NO_LINKS.includes(code)) throw error;
    if (entryAt(path) !== undefined) throw exists(path);
    await rename(part, path);
  }
}

function exists(path: string): UsageError {
  return new UsageError(`${path} already exists: remove it, or use another name`);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
