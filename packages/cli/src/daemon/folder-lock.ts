import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../command.js';

const FILE = 'daemon.pid';

/**
 * Keeps a second daemon off the same folder. The lock names the process and its start time, so that a
 * lock left by a dead one, or by a number used again, is seen as such (proc(5), stat, field 22).
 * @returns what gives the lock back
 * @throws UsageError when another daemon holds it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, FILE);
  const holder = readLock(path);
  if (
    holder !== undefined &&
    startTime(holder.pid) === holder.startTime &&
    holder.pid !== process.pid
  ) {
    throw new UsageError(
      `another daemon (process ${holder.pid}) uses ${folder}: stop it, or give another folder with --data-root`,
    );
  }
  writeFileSync(path, `${process.pid} ${startTime(process.pid) ?? ''}\n`, { mode: 0o600 });
  return () => unlinkSync(path);
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
