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
import { UsageError } from '../command.js';
import { checkPlace, entryAt, GROUP_OR_OTHERS, octal, ownerOf } from './place.js';

/** The owner alone. */
export const PRIVATE_FOLDER = 0o700;
export const PRIVATE_FILE = 0o600;

/**
 * Makes a folder, and those above it, unless it is there, and sees to it that only we may enter it. One
 * of ours that others may enter is closed to them.
 * @param advice what to do instead, for the errors: `give another folder with --data-root`
 * @returns the mode that had to be repaired
 * @throws UsageError when it is another user's, no folder, or where everybody can exchange it
 */
export function makePrivateFolder(path: string, uid: number, advice: string): number | undefined {
  checkPlace(path, uid, advice);
  mkdirSync(path, { recursive: true, mode: PRIVATE_FOLDER });
  // Somebody may have been quicker than that, with a link to another folder of ours.
  checkPlace(path, uid, advice);
  if (statSync(path).uid !== uid) throw foreign(path, uid, advice);
  // Held open, so that it is the one that was checked whose mode is changed.
  const folder = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid: owner, mode } = fstatSync(folder);
    if (owner !== uid) throw foreign(path, uid, advice);
    if ((mode & GROUP_OR_OTHERS) === 0) return undefined;
    fchmodSync(folder, mode & PRIVATE_FOLDER);
    return mode;
  } finally {
    closeSync(folder);
  }
}

/**
 * Checks a folder that {@link makePrivateFolder} made, perhaps for another process of ours. Nothing is
 * changed.
 * @returns false when it is not there
 * @throws UsageError when it is no folder of ours that only we may enter
 */
export function checkPrivateFolder(path: string, uid: number, advice: string): boolean {
  const entry = entryAt(path);
  if (entry === undefined) return false;
  if (!entry.isDirectory()) throw new UsageError(`${path} is not a folder: ${advice}`);
  if (entry.uid !== uid) throw foreign(path, uid, advice);
  if ((entry.mode & GROUP_OR_OTHERS) !== 0)
    throw new UsageError(
      `others may use ${path} (mode ${octal(entry.mode)}): 'chmod 700 ${path}', or ${advice}`,
    );
  return true;
}

/**
 * Makes a folder that everybody may enter and only we may write to, whatever the umask; one that is there
 * stays as it is.
 */
export function makeSharedFolder(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  for (let made = path; first !== undefined; made = dirname(made)) {
    chmodSync(made, 0o755);
    if (made === first) return;
  }
}

function foreign(path: string, uid: number, advice: string): UsageError {
  return new UsageError(
    `${path} ${ownerOf(statSync(path))}, not to user ${uid} that runs this command: ${advice}`,
  );
}
