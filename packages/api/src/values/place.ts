import { UsageError } from '../usage-error.js';

export const GROUP_OR_OTHERS = 0o077;
const OTHERS_WRITE = 0o002;
const STICKY = 0o1000;
/** As many symbolic links as Linux follows (path_resolution(7)). */
const LINKS_LIMIT = 40;

/** What a file system knows about a path. */
export interface PathEntry {
  readonly uid: number;
  readonly mode: number;
  isSymbolicLink(): boolean;
}

/** The file system to look up places in. */
export interface PlaceFiles {
  /** What is at the path itself, links not followed; undefined when nothing is there. */
  entryAt(path: string): PathEntry | undefined;
  readLink(path: string): string;
}

/**
 * Checks that no other user can have created, or can replace, what the path leads to: where everybody may
 * write to a folder on the path, links included, the entry we follow must be ours or root's. A folder that
 * an administrator gave to another user or to a group is that administrator's decision.
 * @param path absolute
 * @param advice ends the sentence: what to do
 * @throws UsageError that names the place and its owner; errors of the file system
 */
export function checkPlaceIn(files: PlaceFiles, path: string, uid: number, advice: string): void {
  let links = 0;
  let folder = '/';
  let rest = wordsOf(path);
  for (let open = files.entryAt(folder); rest.length > 0; ) {
    const [word, ...after] = rest;
    if (word === '..') {
      folder = parentOf(folder);
      open = files.entryAt(folder);
      rest = after;
      continue;
    }
    const next = folder === '/' ? `/${word}` : `${folder}/${word}`;
    const entry = files.entryAt(next);
    // What does not exist yet is ours when we create it.
    if (open !== undefined) checkEntry(folder, open, next, entry, uid, advice);
    if (entry === undefined) return;
    if (entry.isSymbolicLink()) {
      links += 1;
      if (links > LINKS_LIMIT)
        throw new UsageError(`${path} is a loop of symbolic links: ${advice}`);
      const target = files.readLink(next);
      if (target.startsWith('/')) folder = '/';
      rest = [...wordsOf(target), ...after];
      open = files.entryAt(folder);
    } else {
      folder = next;
      open = entry;
      rest = after;
    }
  }
}

/** Whose it is, in a sentence: `belongs to user 7`. */
export function ownerOf({ uid }: { readonly uid: number }): string {
  return uid === 0 ? 'belongs to root' : `belongs to user ${uid}`;
}

export function octal(mode: number): string {
  return `0${(mode & 0o7777).toString(8)}`;
}

/** The error for a folder that should be ours alone and belongs to another user. */
export function foreignFolder(
  path: string,
  owner: number,
  uid: number,
  advice: string,
): UsageError {
  return new UsageError(
    `${path} ${ownerOf({ uid: owner })}, not to user ${uid} that runs this command: ${advice}`,
  );
}

function wordsOf(path: string): string[] {
  return path.split('/').filter((word) => word !== '' && word !== '.');
}

function parentOf(folder: string): string {
  return folder.slice(0, folder.lastIndexOf('/')) || '/';
}

function checkEntry(
  folder: string,
  { mode }: PathEntry,
  path: string,
  entry: PathEntry | undefined,
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
