import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LevelStorage, type LevelStorageOptions } from '../../src/storage/level-storage.js';

/** Real stores in a temporary folder, and copies of them to damage. */
export class Stores {
  private readonly root: string;
  private readonly open: LevelStorage[] = [];
  private made = 0;

  private constructor(root: string) {
    this.root = root;
  }

  /** Runs a test with stores. Closes and removes them, whatever happens. */
  static async use(body: (stores: Stores) => Promise<void>): Promise<void> {
    const stores = new Stores(await mkdtemp(join(tmpdir(), 'raft-storage-')));
    try {
      await body(stores);
    } finally {
      await Promise.allSettled(stores.open.map((storage) => storage.close()));
      await rm(stores.root, { recursive: true });
    }
  }

  newPath(): string {
    this.made++;
    return join(this.root, `store-${this.made}`);
  }

  storage(path: string, options: Partial<LevelStorageOptions> = {}): LevelStorage {
    const storage = new LevelStorage({ path, clusterId: 'cluster', memberId: 1, ...options });
    this.open.push(storage);
    return storage;
  }

  /** What a kill of the process would leave now. */
  async copy(path: string): Promise<string> {
    const target = this.newPath();
    await copyStore(path, target);
    return target;
  }
}

/** How often a copy is begun again when the database deletes a merged file under it. */
const COPIES = 20;

/**
 * Copies a store in use. Copies the identity file first, because it is written after the database:
 * a copy newer than the database's would name records that the copy lacks.
 */
export async function copyStore(path: string, target: string): Promise<void> {
  for (let copies = 1; ; copies++) {
    try {
      await mkdir(target);
      await copyFile(join(path, 'identity'), join(target, 'identity'));
      await cp(join(path, 'log'), join(target, 'log'), { recursive: true });
      return;
    } catch (error) {
      const isGone = (error as { code?: unknown }).code === 'ENOENT';
      if (!isGone || copies === COPIES) throw error;
      await rm(target, { recursive: true, force: true });
    }
  }
}

/** The database's files with this ending, oldest first. */
export async function databaseFiles(path: string, ending: string): Promise<string[]> {
  const names = await readdir(join(path, 'log'));
  const found = names.filter((name) => name.endsWith(ending)).sort();
  return found.map((name) => join(path, 'log', name));
}

/** The only file with this ending. */
export async function databaseFile(path: string, ending: string): Promise<string> {
  const found = await databaseFiles(path, ending);
  if (found.length !== 1) throw new Error(`${found.length} files end in ${ending}`);
  return found[0]!;
}

export async function flipBit(file: string, offset: number): Promise<void> {
  const bytes = await readFile(file);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at]! ^= 0x10;
  await writeFile(file, bytes);
}

export async function zero(file: string, start: number, end: number): Promise<void> {
  const bytes = await readFile(file);
  await writeFile(file, bytes.fill(0, start, end));
}

export async function size(file: string): Promise<number> {
  return (await stat(file)).size;
}
