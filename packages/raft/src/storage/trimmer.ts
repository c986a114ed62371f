import type { Database, Operation } from './database.js';
import { recordKey } from './keys.js';

/** Records deleted at once: a write of the log's waits for at most one such slice. */
const SLICE_RECORDS = 256;

/**
 * LevelDB takes its time to drop what is deleted; after so many records it is told to. Left alone it
 * kept ten times the size of the log.
 */
const RECLAIM_RECORDS = 1024;

/**
 * Deletes records nobody needs any more, in the background, a slice at a time, by number: it never
 * looks for them, as that would mean reading over what is deleted already.
 */
export class Trimmer {
  private readonly database: Database;
  private readonly onError: (error: unknown) => void;
  private below: number;
  /** Space of records below it was given back. */
  private reclaimed: number;
  private target: number;
  private running: Promise<void> | undefined;
  private stopped = false;

  /** @param deletedBelow records below it are gone. */
  constructor(database: Database, deletedBelow: number, onError: (error: unknown) => void) {
    this.database = database;
    this.below = deletedBelow;
    this.reclaimed = deletedBelow;
    this.target = deletedBelow;
    this.onError = onError;
  }

  /** Records below it are gone. */
  get deletedBelow(): number {
    return this.below;
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

  /** Resolves when no deletion is under way, nor will be. What is left is deleted after the next start. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** Resolves when all that was asked for is deleted. */
  async idle(): Promise<void> {
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.below < this.target && !this.stopped) {
      await this.deleteSlice();
      if (this.below === this.target && this.below - this.reclaimed >= RECLAIM_RECORDS) {
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
