import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { UsageError } from '../command.js';

export const GROUP_OR_OTHERS = 0o077;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;
/** As many as Linux follows (path_resolution(7)). */
const LINKS_LIMIT = 40;

/** What is at the path itself, not behind it; undefined when nothing is. @throws Error EACCES and the like */
export function entryAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/**
 * Checks that nobody else can have put there, or can exchange, what the path leads to: where a folder on
 * the way, links included, may be written by everybody, what we use of it must be ours or root's.
 * A folder that an administrator gave to another user or to a group is that administrator's decision.
 * @param advice ends the sentence: what to do
 * @throws UsageError that names the place and its owner
 */
export function checkPlace(path: string, uid: number, advice: string): void {
  let links = 0;
  let folder = '/';
  let rest = wordsOf(resolve(path));
  for (let open = entryAt(folder); rest.length > 0; ) {
    const [word, ...after] = rest;
    if (word === '..') {
      folder = dirname(folder);
      open = entryAt(folder);
      rest = after;
      continue;
    }
    const next = join(folder, word!);
    const entry = entryAt(next);
    // What is not there yet is ours when we make it.
    if (open !== undefined) checkEntry(folder, open, next, entry, uid, advice);
    if (entry === undefined) return;
    if (entry.isSymbolicLink()) {
      links += 1;
      if (links > LINKS_LIMIT)
        throw new UsageError(`${path} is a circle of symbolic links: ${advice}`);
      const target = readlinkSync(next);
      if (target.startsWith(sep)) folder = '/';
      rest = [...wordsOf(target), ...after];
      open = entryAt(folder);
    } else {
      folder = next;
      open = entry;
      rest = after;
    }
  }
}

/** Whose it is, in a sentence: `belongs to user 7`. */
export function ownerOf({ uid }: Pick<Stats, 'uid'>): string {
  return uid === 0 ? 'belongs to root' : `belongs to user ${uid}`;
}

export function octal(mode: number): string {
  return `0${(mode & 0o7777).toString(8)}`;
}

function wordsOf(path: string): string[] {
  return path.split(sep).filter((word) => word !== '' && word !== '.');
}

function checkEntry(
  folder: string,
  { mode }: Stats,
  path: string,
  entry: Stats | undefined,
  uid: number,
  advice: string,
): void {
  if ((mode & OTHERS_WRITE) === 0) return;
  if ((mode & STICKY) === 0)
    throw new UsageError(
      `${folder} may be written by everybody (mode ${octal(mode)}), so anybody can exchange ${path}: ${advice}`,
    );
  if (entry !== undefined && entry.uid !== 0 && entry.uid !== uid)
    throw new UsageError(
      `${path} ${ownerOf(entry)}, and everybody may make files in ${folder}: ${advice}`,
    );
}
