import { fstatSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';

/**
 * What the log does with files itself, beside LevelDB; passed in, so that the same code runs on a
 * simulated disk. Three things are durable apart from each other, each only by a sync of its own:
 * what is in a file, the name of a file in its folder, the name of a folder in the one above.
 *
 * All calls throw errors with the `code` that Node.js gives them (ENOSPC, EACCES, ...).
 */
export interface FileSystem {
  /** By the clock that dates changes of folders. */
  nowMs(): number;
  /** Makes a folder that nobody else may enter, unless it is there. @throws ENOENT without the one above */
  makeFolder(path: string): Promise<void>;
  /** With all that is in it, if it is there. */
  removeFolder(path: string): Promise<void>;
  /** Names in a folder, in no order. */
  list(path: string): Promise<readonly string[]>;
  /** @returns undefined when there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** An empty file that nobody else may read; takes the place of one that is there. */
  create(path: string): Promise<NewFile>;
  /** At once, and over what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  openFolder(path: string): Promise<Folder>;
}

/** A file being written. */
export interface NewFile {
  write(text: string): Promise<void>;
  /** What was written is on disk when it resolves; the file's name need not be. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A folder held open. */
export interface Folder {
  /** When a name in it changed last, in nanoseconds; no finer than the kernel's clock for it. */
  changedNs(): bigint;
  /** The names in it are on disk when it resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The computer's own files. */
export const NODE_FILES: FileSystem = {
  nowMs: () => Date.now(),
  async makeFolder(path) {
    try {
      await mkdir(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  },
  removeFolder: (path) => rm(path, { recursive: true, force: true }),
  list: (path) => readdir(path),
  async read(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
  async create(path) {
    const file = await open(path, 'w', 0o600);
    return {
      write: (text) => file.writeFile(text),
      sync: () => file.sync(),
      close: () => file.close(),
    };
  },
  rename: (from, to) => rename(from, to),
  openFolder: async (path) => new NodeFolder(await open(path, 'r')),
};

class NodeFolder implements Folder {
  private readonly handle: FileHandle;

  constructor(handle: FileHandle) {
    this.handle = handle;
  }

  /** Synchronous: asking costs microseconds, a turn through the thread pool much more. */
  changedNs(): bigint {
    return fstatSync(this.handle.fd, { bigint: true }).mtimeNs;
  }

  sync(): Promise<void> {
    return this.handle.sync();
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
