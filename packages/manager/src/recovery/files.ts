import { cp, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenBackup } from './backup-file.js';
import type { CopyFolder } from './inspect.js';

/** A backup in a file of this host. */
export function backupFile(path: string): OpenBackup {
  return async () => {
    const file = await open(path, 'r');
    return {
      async read(position, length) {
        const bytes = Buffer.allocUnsafeSlow(length);
        const { bytesRead } = await file.read(bytes, 0, length, position);
        return bytes.subarray(0, bytesRead);
      },
      sizeBytes: async () => (await file.stat()).size,
      close: () => file.close(),
    };
  };
}

/** Copies folders of this host into its folder for temporary files. */
export const copyFolder: CopyFolder = async (folder) => {
  const temporary = await mkdtemp(join(tmpdir(), 'swarm-inspect-'));
  const remove = () => rm(temporary, { recursive: true, force: true });
  const path = join(temporary, 'copy');
  try {
    await cp(folder, path, { recursive: true });
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, remove };
};
