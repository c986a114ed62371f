import type { Database, Operation } from './database.js';

/**
 * A database whose writes run one after another, and none after one that failed: all later ones
 * fail with the same error.
 *
 * LevelDB orders concurrent writes as it likes, and it remembers a failed sync but not a failed
 * write (1.20, DBImpl::Write). When the disk is full, half a write may remain at the end of the
 * file. Once there is space again, LevelDB would append after it, which no reader can tell from
 * damage.
 */
export class OrderedWrites implements Database {
  private readonly database: Database;
  /** The last write; rejected for ever once one has failed. */
  private last: Promise<void> = Promise.resolve();

  constructor(database: Database) {
    this.database = database;
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.database.get(key);
  }

  write(operations: readonly Operation[], options: { readonly sync: boolean }): Promise<void> {
    this.last = this.last.then(() => this.database.write(operations, options));
    return this.last;
  }

  read(from: Uint8Array, to: Uint8Array): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    return this.database.read(from, to);
  }

  reclaim(from: Uint8Array, to: Uint8Array): Promise<void> {
    return this.database.reclaim(from, to);
  }

  close(): Promise<void> {
    return this.database.close();
  }
}
