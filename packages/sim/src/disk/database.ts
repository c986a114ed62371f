/** LevelDB as far as our stores use it: the interface they open it through. */
export interface Database {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /**
   * Writes all operations or none. They are on disk when it resolves if `sync`, otherwise soon
   * after.
   */
  write(operations: readonly Operation[], options: { readonly sync: boolean }): Promise<void>;
  /** Reads in order of keys, from `from` inclusive to `to` exclusive. */
  read(from: Uint8Array, to: Uint8Array): AsyncIterable<readonly [Uint8Array, Uint8Array]>;
  /** Returns the space of deleted keys to the disk. Others may write meanwhile. */
  reclaim(from: Uint8Array, to: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Without a value, deletes the key. */
export type Operation = readonly [key: Uint8Array, value?: Uint8Array];

export interface DatabaseOptions {
  readonly createIfMissing: boolean;
  readonly writeBufferBytes: number;
}

/**
 * @throws an error whose `code` is one of LevelDB's: LEVEL_LOCKED, LEVEL_CORRUPTION, LEVEL_IO_ERROR
 */
export type OpenDatabase = (folder: string, options: DatabaseOptions) => Promise<Database>;
