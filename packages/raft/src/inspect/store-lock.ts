import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Returns the process that has a LevelDB database open, by the kernel's list of locks; undefined
 * when no process has. Opening the database would show it as well, but change its files.
 * @param folder of the database
 */
export async function databaseHolder(folder: string): Promise<number | undefined> {
  let inode: number;
  try {
    inode = (await stat(join(folder, 'LOCK'))).ino;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return holderIn(await readFile('/proc/locks', 'utf8'), inode);
}

/**
 * proc(5), /proc/locks: `1: POSIX ADVISORY WRITE 3568 fd:00:2531452 0 EOF`. Ignores the device:
 * some file systems show a different one than stat does, and a false alarm only asks to stop a
 * daemon.
 */
export function holderIn(locks: string, inode: number): number | undefined {
  for (const line of locks.split('\n')) {
    const match = /\sWRITE\s+(-?\d+)\s+[0-9a-f]+:[0-9a-f]+:(\d+)\s/.exec(line);
    if (match !== null && Number(match[2]) === inode) return Number(match[1]);
  }
  return undefined;
}
