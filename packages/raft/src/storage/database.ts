/** The few operations that the log needs of LevelDB. Passed in so that tests can make it fail. */
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
  /** LevelDB holds up to twice this in memory, and has write-ahead files of this size. */
  readonly writeBufferBytes: number;
}

/**
 * @throws an error whose `code` is one of LevelDB's: LEVEL_LOCKED, LEVEL_CORRUPTION, LEVEL_IO_ERROR
 */
export type OpenDatabase = (folder: string, options: DatabaseOptions) => Promise<Database>;

/** Records are read once, at the start: a cache would only take memory. */
const CACHE_BYTES = 64 * 1024;
const READ_AHEAD_BYTES = 256 * 1024;
const READ_AHEAD_RECORDS = 64;

const ENCODING = { keyEncoding: 'view' } as const;

interface ClassicLevel {
  compactRange(start: Uint8Array, end: Uint8Array, options: typeof ENCODING): Promise<void>;
}

/** Opens LevelDB. Loads it on first use. */
export const openLevelDatabase: OpenDatabase = async (folder, options) => {
  const { Level } = await import('level');
  const open = {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: options.createIfMissing,
    // Entries are already packed.
    compression: false,
    writeBufferSize: options.writeBufferBytes,
    cacheSize: CACHE_BYTES,
  } as const;
  // It opens by itself soon, with the constructor's options, so these must be complete.
  const level = new Level<Uint8Array, Uint8Array>(folder, open);
  try {
    await level.open();
  } catch (error) {
    throw error instanceof Error && error.cause instanceof Error ? error.cause : error;
  }
  return {
    get: (key) => level.get(key, { fillCache: false }),
    async write(operations, { sync }) {
      const [first] = operations;
      if (operations.length === 1 && first![1] !== undefined) {
        await level.put(first![0], first![1], { sync });
        return;
      }
      const batch = level.batch();
      for (const [key, value] of operations) {
        if (value === undefined) batch.del(key);
        else batch.put(key, value);
      }
      await batch.write({ sync });
    },
    async *read(from, to) {
      const range = { gte: from, lt: to, fillCache: false, highWaterMarkBytes: READ_AHEAD_BYTES };
      const iterator = level.iterator(range);
      try {
        for (;;) {
          const found = await iterator.nextv(READ_AHEAD_RECORDS);
          if (found.length === 0) return;
          yield* found;
        }
      } finally {
        await iterator.close();
      }
    },
    // Only LevelDB has it, and level's types cover browsers too.
    reclaim: (from, to) => (level as unknown as ClassicLevel).compactRange(from, to, ENCODING),
    close: () => level.close(),
  };
};
