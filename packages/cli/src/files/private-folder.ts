import { entryAt, foreignFolder, GROUP_OR_OTHERS, octal, UsageError } from '@swarm/api/client';

/** Mode of a file that only its owner may read and write. */
export const PRIVATE_FILE = 0o600;

/**
 * Checks a folder that should be only ours, perhaps made by another of our processes. Changes nothing.
 * @param advice what to do instead, for the errors: `choose another folder with --data-root`
 * @returns false if it does not exist
 * @throws UsageError if it is not a folder of ours that only we may enter
 */
export function checkPrivateFolder(path: string, uid: number, advice: string): boolean {
  const entry = entryAt(path);
  if (entry === undefined) return false;
  if (!entry.isDirectory()) throw new UsageError(`${path} is not a folder: ${advice}`);
  if (entry.uid !== uid) throw foreignFolder(path, entry.uid, uid, advice);
  if ((entry.mode & GROUP_OR_OTHERS) !== 0)
    throw new UsageError(
      `others may use ${path} (mode ${octal(entry.mode)}): run 'chmod 700 ${path}', or ${advice}`,
    );
  return true;
}
