/**
 * Files as a store uses them that has its file system passed in. Three things are durable apart from each other, each only by a sync of its own:
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
