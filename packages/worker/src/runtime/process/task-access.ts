import { type Stats, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { HostUser } from './host-user.js';

/** Folders that each task has for itself, so that the host's files in them are not there for it. */
const PRIVATE_FOLDERS = ['/tmp', '/var/tmp', '/dev/shm', '/run', '/var/run'];

const READ = 4;
const EXECUTE = 1;

/**
 * Why a task may have failed: a file of its command line, or its directory, that its user can not get
 * at. By the mode bits; an access list may open what these close, so this is for explaining only.
 * @returns a sentence with what to do, or undefined
 */
export function explainAccess(
  command: readonly string[],
  directory: string,
  user: HostUser,
): string | undefined {
  if (user.uid === 0) return undefined;
  const [program = '', ...args] = command;
  const files = args.filter((arg) => isAbsolute(arg) || arg.includes('.') || arg.includes('/'));
  return (
    explain(directory, EXECUTE, user) ??
    explain(program, EXECUTE, user) ??
    files
      .map((file) => explain(resolve(directory, file), READ, user))
      .find((reason) => reason !== undefined)
  );
}

function explain(path: string, wanted: number, user: HostUser): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: false });
  if (stat === undefined) return undefined;
  const hidden = PRIVATE_FOLDERS.find((folder) => path.startsWith(`${folder}/`));
  if (hidden !== undefined)
    return `${path} of this host is not there for it: each task has ${hidden} for itself; keep its files elsewhere, in /srv or /opt`;
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const above = statSync(folder, { throwIfNoEntry: false });
    if (above !== undefined && !may(above, EXECUTE, user)) return closed(path, folder, above, user);
    if (folder === dirname(folder)) break;
  }
  return may(stat, wanted, user) ? undefined : closed(path, path, stat, user);
}

function closed(path: string, at: string, stat: Stats, user: HostUser): string {
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
  return `its user ${user.uid} can not get at ${path}: ${at} is closed to it (mode ${mode}); open it to everybody with 'chmod -R o+rX', or keep the task's files in a folder that is, like /srv`;
}

function may(stat: Stats, wanted: number, user: HostUser): boolean {
  if (stat.uid === user.uid) return ((stat.mode >> 6) & wanted) === wanted;
  if (stat.gid === user.gid || user.groups.includes(stat.gid))
    return ((stat.mode >> 3) & wanted) === wanted;
  return (stat.mode & wanted) === wanted;
}
