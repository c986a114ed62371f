import { foreignFolder, GROUP_OR_OTHERS, octal, UsageError } from '@swarm/api/client';
import { entryAt } from './place.js';

/** Mode of a file for its owner alone. */
export const PRIVATE_FILE = 0o600;

/**
 * Checks a folder that should be ours alone, perhaps made by another process of ours. Nothing is changed.
 * @param advice what to do instead, for the errors: `give another folder with --data-root`
 * @returns false when it is not there
 * @throws UsageError when it is no folder of ours that only we may enter
 */
export function checkPrivateFolder(path: string, uid: number, advice: string): boolean {
  const entry = entryAt(path);
  if (entry === undefined) return false;
  if (!entry.isDirectory()) throw new UsageError(`${path} is not a folder: ${advice}`);
  if (entry.uid !== uid) throw foreignFolder(path, entry.uid, uid, advice);
  if ((entry.mode & GROUP_OR_OTHERS) !== 0)
    throw new UsageError(
      `others may use ${path} (mode ${octal(entry.mode)}): 'chmod 700 ${path}', or ${advice}`,
    );
  return true;
}
