import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '@swarm/api';

const FILE = 'daemon.pid';
/** A lock that is stale this often is one that other starting daemons take. */
const ATTEMPTS = 10;

/**
 * Keeps a second daemon out of the folder. The lock names the process and its start time, so that it is
 * recognised as stale when the process is dead or its number is reused (proc(5), stat, field 22).
 * @returns a function that releases the lock
 * @throws UsageError when another daemon holds it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, FILE);
  const line = `${process.pid} ${startTime(process.pid) ?? ''}\n`;
  for (let attempt = 1; !made(path, line); attempt += 1) {
    const holder = readLock(path);
    const holds =
      holder !== undefined &&
      holder.pid !== process.pid &&
      startTime(holder.pid) === holder.startTime;
    if (holds || attempt === ATTEMPTS)
      throw new UsageError(
        `another daemon (process ${holder?.pid}) uses ${folder}: stop it, or give another folder with --data-root`,
      );
    rmSync(path, { force: true });
  }
  return () => rmSync(path, { force: true });
}

/** Creates the file; false when it exists. Of two daemons that start at once, one creates it. */
function made(path: string, line: string): boolean {
  try {
    writeFileSync(path, line, { mode: 0o600, flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readLock(path: string): { pid: number; startTime: string } | undefined {
  try {
    const [pid, startTime] = readFileSync(path, 'utf8').trim().split(' ');
    return { pid: Number(pid), startTime: startTime ?? '' };
  } catch {
    return undefined;
  }
}

function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
