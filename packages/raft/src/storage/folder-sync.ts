import { fstatSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Coarser than any kernel's clock for file times. */
const TIME_GRAIN_MS = 50;
const NS_PER_MS = 1_000_000n;

/**
 * LevelDB syncs a new write-ahead file, but not the folder that names it (google/leveldb#193): after
 * a power cut the file may be gone with all that was synced into it. This syncs the folder whenever
 * a name in it has changed. Asking costs microseconds, as the folder is held open.
 */
export class FolderSync {
  private readonly folder: FileHandle;
  /** The time of the last change that is surely synced. */
  private syncedNs: bigint | undefined;

  private constructor(folder: FileHandle) {
    this.folder = folder;
  }

  static async open(path: string): Promise<FolderSync> {
    return new FolderSync(await open(path, 'r'));
  }

  /** Resolves when all names are durable. */
  async settle(): Promise<void> {
    const changedNs = fstatSync(this.folder.fd, { bigint: true }).mtimeNs;
    if (changedNs === this.syncedNs) return;
    await this.folder.sync();
    // A second change within the same tick of the kernel's clock would look the same.
    const old = BigInt(Date.now() - TIME_GRAIN_MS) * NS_PER_MS > changedNs;
    this.syncedNs = old ? changedNs : undefined;
  }

  async close(): Promise<void> {
    await this.folder.close();
  }
}
