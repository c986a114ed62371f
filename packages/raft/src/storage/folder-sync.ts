import { dirname } from 'node:path';
import type { FileSystem, Folder } from './file-system.js';

/** Coarser than any kernel's clock for file times. */
const TIME_GRAIN_MS = 50;
const NS_PER_MS = 1_000_000n;

/**
 * LevelDB syncs a new write-ahead file, but not the folder that names it (google/leveldb#193):
 * after a power cut the file may be gone with everything synced into it. This syncs the folder
 * whenever a name in it has changed. The check costs microseconds, because the folder is held open.
 */
export class FolderSync {
  private readonly files: FileSystem;
  private readonly folder: Folder;
  /** The time of the last change that is certainly synced. */
  private syncedNs: bigint | undefined;

  private constructor(files: FileSystem, folder: Folder) {
    this.files = files;
    this.folder = folder;
  }

  static async open(files: FileSystem, path: string): Promise<FolderSync> {
    return new FolderSync(files, await files.openFolder(path));
  }

  /** Resolves when all names are durable. */
  async settle(): Promise<void> {
    const changedNs = this.folder.changedNs();
    if (changedNs === this.syncedNs) return;
    await this.folder.sync();
    // A second change within the same tick of the kernel's clock would look the same.
    const old = BigInt(Math.floor(this.files.nowMs() - TIME_GRAIN_MS)) * NS_PER_MS > changedNs;
    this.syncedNs = old ? changedNs : undefined;
  }

  async close(): Promise<void> {
    await this.folder.close();
  }
}

/** Makes names created in or removed from a folder durable. */
export async function syncFolder(files: FileSystem, path: string): Promise<void> {
  const folder = await files.openFolder(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Makes a folder and its parents, unless they exist; all their names are durable when it resolves.
 * Each is durable before the next is made in it, so only the last one that exists may be left over
 * from a crash during an earlier attempt.
 */
export async function makeDurableFolder(files: FileSystem, path: string): Promise<void> {
  const above = dirname(path);
  const isNew = !(await isThere(files, path));
  if (isNew) {
    await makeDurableFolder(files, above);
    await files.makeFolder(path);
  }
  try {
    await syncFolder(files, above);
  } catch (error) {
    // A folder that an administrator made, where we may not look or cannot sync, is the
    // administrator's responsibility.
    if (isNew || !OUT_OF_REACH.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

/** Why a folder cannot be opened for reading, or synced. */
const OUT_OF_REACH: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EINVAL', 'EROFS']);

async function isThere(files: FileSystem, path: string): Promise<boolean> {
  try {
    const folder = await files.openFolder(path);
    await folder.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
