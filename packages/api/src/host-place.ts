import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { resolve } from 'node:path';
import { checkPlaceIn } from './values/place.js';

/** What is at the path itself, following no link; undefined if nothing is. @throws Error EACCES and the like */
export function entryAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** {@link checkPlaceIn} on this host's files. @throws UsageError naming the place and its owner */
export function checkPlace(path: string, uid: number, advice: string): void {
  checkPlaceIn({ entryAt, readLink: readlinkSync }, resolve(path), uid, advice);
}
