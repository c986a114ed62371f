import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { checkPlace, foreignFolder, GROUP_OR_OTHERS, UsageError } from '@swarm/api';

/** For the owner alone. */
export const PRIVATE_FOLDER = 0o700;
export const PRIVATE_FILE = 0o600;

/**
 * Creates a folder and those above it where missing, and makes sure that only we may enter it. Closes a
 * folder of ours that others may enter.
 * @param advice what to do instead, for the errors: `give another folder with --data-root`
 * @returns the mode that had to be repaired
 * @throws UsageError when it belongs to another user, is not a folder, or everybody can replace it
 */
export function makePrivateFolder(path: string, uid: number, advice: string): number | undefined {
  checkPlace(path, uid, advice);
  makeFolders(path, PRIVATE_FOLDER);
  // Another user may have been quicker, with a link to another folder of ours.
  checkPlace(path, uid, advice);
  const entry = statSync(path);
  if (!entry.isDirectory()) throw new UsageError(`${path} is not a folder: ${advice}`);
  const { uid: found } = entry;
  if (found !== uid) throw foreignFolder(path, found, uid, advice);
  // Held open, so that the mode changes on the very folder that was checked.
  const folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid: owner, mode } = fstatSync(folder);
    if (owner !== uid) throw foreignFolder(path, owner, uid, advice);
    if ((mode & GROUP_OR_OTHERS) === 0) return undefined;
    fchmodSync(folder, mode & PRIVATE_FOLDER);
    return mode;
  } finally {
    closeSync(folder);
  }
}

/**
 * Creates the folders of a path that are missing. One by one, because Node.js' recursive mkdir never returns
 * where the system refuses new folders with ENOENT, as below /proc.
 * @returns the first one that it created
 */
function makeFolders(path: string, mode?: number): string | undefined {
  const missing: string[] = [];
  for (let at = path; !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.unshift(at);
  for (const each of missing) {
    try {
      mkdirSync(each, mode);
    } catch (error) {
      // Somebody else was quicker.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  return missing[0];
}

/**
 * Creates a folder that everybody may enter and only we may write to, whatever the umask. An existing
 * folder stays as it is.
 */
export function makeSharedFolder(path: string): void {
  const first = makeFolders(path);
  for (let made = path; first !== undefined; made = dirname(made)) {
    chmodSync(made, 0o755);
    if (made === first) return;
  }
}
