/**
 * Files, for a store that takes its file system as a parameter. Three things become durable
 * separately, each only by its own sync: the content of a file, the name of a file in its folder,
 * and the name of a folder in its parent.
 *
 * All calls throw errors with the `code` that Node.js gives them (ENOSPC, EACCES, ...).
 */
export interface FileSystem {
  /** By the clock that dates changes of folders. */
  nowMs(): number;
  /**
   * Makes a folder that no other user may enter, unless it exists. @throws ENOENT without its
   * parent
   */
  makeFolder(path: string): Promise<void>;
  /** Removes a folder with everything in it, if it exists. */
  removeFolder(path: string): Promise<void>;
  /** Names in a folder, in no particular order. */
  list(path: string): Promise<readonly string[]>;
  /** @returns undefined when there is no such file */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Creates an empty file that no other user may read. Replaces an existing one. */
  create(path: string): Promise<NewFile>;
  /** Renames atomically, replacing what is at `to`. */
  rename(from: string, to: string): Promise<void>;
  openFolder(path: string): Promise<Folder>;
}

/** A file being written. */
export interface NewFile {
  write(text: string): Promise<void>;
  /** The content is on disk when it resolves; the file's name may not be. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A folder held open. */
export interface Folder {
  /** When a name in it last changed, in nanoseconds; no finer than the kernel's clock for it. */
  changedNs(): bigint;
  /** The names in it are on disk when it resolves. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
