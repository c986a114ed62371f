/** LevelDB as far as our stores use it: the shape of what they open it by. */
export interface Database {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** All or none; on disk when it resolves if `sync`, else soon. */
  write(operations: readonly Operation[], options: { readonly sync: boolean }): Promise<void>;
  /** In order of keys, `from` included, `to` excluded. */
  read(from: Uint8Array, to: Uint8Array): AsyncIterable<readonly [Uint8Array, Uint8Array]>;
  /** Gives the space of deleted keys back to the disk; others may write meanwhile. */
  reclaim(from: Uint8Array, to: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Without a value: deletes the key. */
export type Operation = readonly [key: Uint8Array, value?: Uint8Array];

export interface DatabaseOptions {
  readonly createIfMissing: boolean;
  readonly writeBufferBytes: number;
}

/** @throws an error whose `code` is one of LevelDB's: LEVEL_LOCKED, LEVEL_CORRUPTION, LEVEL_IO_ERROR. */
export type OpenDatabase = (folder: string, options: DatabaseOptions) => Promise<Database>;
