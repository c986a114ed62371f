import { closeSync, openSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Bytes of a unix socket's path (unix(7)), with the zero at its end. */
const SOCKET_PATH_BYTES = 108;
/** Place of the start time in `/proc/PID/stat`, counted after the name in parentheses. */
const START_FIELD = 19;
const STATE_FIELD = 0;

/** Files of a resolver, in a folder that only it and its daemon use. */
export interface ResolverFiles {
  readonly socket: string;
  /** Number and start time of the process. */
  readonly process: string;
  /** What it printed; nothing unless it failed. */
  readonly output: string;
  /** The same of the last one that failed. */
  readonly failure: string;
}

export function resolverFiles(folder: string): ResolverFiles {
  return {
    socket: join(folder, 'resolver.sock'),
    process: join(folder, 'resolver.json'),
    output: join(folder, 'resolver.log'),
    failure: join(folder, 'resolver.failure.log'),
  };
}

/** Calls back with a path of the socket that is short enough, valid until the result resolves. */
export async function withSocketPath<T>(
  path: string,
  work: (path: string) => Promise<T>,
): Promise<T> {
  if (Buffer.byteLength(path) < SOCKET_PATH_BYTES) return work(path);
  const folder = openSync(dirname(path), 'r');
  try {
    return await work(`/proc/self/fd/${folder}/${basename(path)}`);
  } finally {
    closeSync(folder);
  }
}

/** A process, told apart from a later one with the same number. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks since the boot. */
  readonly start: string;
}

/** @returns undefined if there is no such process, or only its exit code is left */
export function markOf(pid: number): ProcessMark | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const start = fields[START_FIELD];
    return fields[STATE_FIELD] === 'Z' || start === undefined ? undefined : { pid, start };
  } catch {
    return undefined;
  }
}

/** The process that the file names, if it still runs. */
export function runningMark(path: string): ProcessMark | undefined {
  try {
    const { pid, start } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    if (!Number.isSafeInteger(pid) || (pid as number) < 2) return undefined;
    const mark = markOf(pid as number);
    return mark?.start === start ? mark : undefined;
  } catch {
    return undefined;
  }
}
