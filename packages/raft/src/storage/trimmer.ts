import type { Database, Operation } from './database.js';
import { recordKey } from './keys.js';

/** Records deleted at once. A write of the log waits for at most one such slice. */
const SLICE_RECORDS = 256;

/**
 * LevelDB is slow to reclaim deleted space, so it is told to whenever this many write buffers were
 * filled. Left alone, it kept ten times the size of the log; told seldom, it maps all of that into
 * memory at once.
 */
const RECLAIM_WRITE_BUFFERS = 4;

/**
 * Deletes unneeded records in the background, a slice at a time, by number. It never searches for
 * them, because that would mean reading over what is already deleted.
 */
export class Trimmer {
  private readonly database: Database;
  private readonly onError: (error: unknown) => void;
  private readonly reclaimBytes: number;
  private below: number;
  /** The space of records below it was reclaimed. */
  private reclaimed: number;
  private target: number;
  private running: Promise<void> | undefined;
  private stopped = false;
  private writtenBytes = 0;

  /** @param deletedBelow records below it are already deleted */
  constructor(
    database: Database,
    deletedBelow: number,
    writeBufferBytes: number,
    onError: (error: unknown) => void,
  ) {
    this.database = database;
    this.below = deletedBelow;
    this.reclaimed = deletedBelow;
    this.target = deletedBelow;
    this.onError = onError;
    this.reclaimBytes = RECLAIM_WRITE_BUFFERS * writeBufferBytes;
  }

  /** Records below it are deleted. */
  get deletedBelow(): number {
    return this.below;
  }

  /** Call it for each record written. */
  wrote(bytes: number): void {
    this.writtenBytes += bytes;
  }

  /** Deletes records below `sequence`, some time soon. */
  trim(sequence: number): void {
    this.target = Math.max(this.target, sequence);
    if (this.stopped || this.running !== undefined || this.below >= this.target) return;
    this.running = this.run()
      .catch(this.onError)
      .finally(() => {
        this.running = undefined;
      });
  }

  /**
   * Resolves when no deletion is under way and none will start. The next start deletes what is
   * left.
   */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** Resolves when every requested deletion is done. */
  async idle(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.below < this.target && !this.stopped) {
      await this.deleteSlice();
      if (this.below === this.target && this.writtenBytes >= this.reclaimBytes) {
        this.writtenBytes = 0;
        const from = this.reclaimed;
        this.reclaimed = this.below;
        await this.database.reclaim(recordKey(from), recordKey(this.below));
      }
    }
  }

  private async deleteSlice(): Promise<void> {
    const end = Math.min(this.target, this.below + SLICE_RECORDS);
    const operations: Operation[] = [];
    for (let sequence = this.below; sequence < end; sequence++) {
      operations.push([recordKey(sequence)]);
    }
    await this.database.write(operations, { sync: false });
    this.below = end;
  }
}
