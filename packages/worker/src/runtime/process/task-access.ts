import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { errnoOf } from '../runtime-error.js';
import type { HostUser } from './host-user.js';

/** Folders that each task has for itself, so that it cannot see the host's files in them. */
const PRIVATE_FOLDERS = ['/tmp', '/var/tmp', '/dev/shm', '/run', '/var/run'];

const READ = 4;
const EXECUTE = 1;
/** Links that the kernel follows in one path (path_resolution(7)). */
const LINKS_LIMIT = 40;

/**
 * Why a task may have failed: its user has no access to a file of its command line or to its directory. Goes
 * by the mode bits; an access list may still grant access, so this only serves to explain.
 * @returns a sentence that says what to do, or undefined
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
  const place = walk(path, user);
  if (place === undefined) return undefined;
  const hidden = PRIVATE_FOLDERS.find((folder) => path.startsWith(`${folder}/`));
  if (hidden !== undefined)
    return place.isClosed
      ? undefined
      : `it cannot see ${path} of this host: each task has its own ${hidden}; keep its files elsewhere, such as in /srv or /opt`;
  const { at, stat } = place;
  return place.isClosed || !may(stat, wanted, user) ? closed(path, at, stat, user) : undefined;
}

/**
 * Where the path leads, as far as the user can follow it. Does not tell what lies behind a closed folder:
 * the author of a service reads the reason. Undefined if there is nothing.
 */
function walk(
  path: string,
  user: HostUser,
): { readonly at: string; readonly stat: Stats; readonly isClosed: boolean } | undefined {
  let at = '/';
  let stat = lstatSync(at);
  let links = 0;
  const names = path.split('/');
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '' || name === '.') continue;
    if (!stat.isDirectory()) return undefined;
    if (!may(stat, EXECUTE, user)) return { at, stat, isClosed: true };
    const next = join(at, name);
    const found = look(next);
    if (found === undefined) return undefined;
    if (found.isSymbolicLink()) {
      links += 1;
      if (links > LINKS_LIMIT) return undefined;
      const target = readlinkSync(next);
      names.unshift(...target.split('/'));
      if (isAbsolute(target)) at = '/';
      stat = lstatSync(at);
    } else {
      at = next;
      stat = found;
    }
  }
  return { at, stat, isClosed: false };
}

/** Undefined for anything that is not a path: an argument may be a whole script. */
function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

function closed(path: string, at: string, stat: Stats, user: HostUser): string {
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
  return `its user ${user.uid} cannot access ${path}: ${at} is closed to it (mode ${mode}); open it to everybody with 'chmod -R o+rX', or keep the task's files in an open folder such as /srv`;
}

function may(stat: Stats, wanted: number, user: HostUser): boolean {
  if (stat.uid === user.uid) return ((stat.mode >> 6) & wanted) === wanted;
  if (stat.gid === user.gid || user.groups.includes(stat.gid))
    return ((stat.mode >> 3) & wanted) === wanted;
  return (stat.mode & wanted) === wanted;
}
