import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { foreignFolder, GROUP_OR_OTHERS } from '@swarm/api';
import { checkPlace } from './place.js';

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
  mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER });
  // Another user may have been quicker, with a link to another folder of ours.
  checkPlace(path, uid, advice);
  const { uid: found } = statSync(path);
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
 * Creates a folder that everybody may enter and only we may write to, whatever the umask. An existing
 * folder stays as it is.
 */
export function makeSharedFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  for (let made = path; first !== undefined; made = dirname(made)) {
    chmodSync(made, 0o755);
    if (made === first) return;
  }
}
