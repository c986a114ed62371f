import { NO_SNAPSHOT } from '../codec/snapshot-codec.js';
import type { Entry, HardState, SnapshotMeta } from '../core/types.js';
import type { LogMeta } from './log-meta.js';
import type { LogRecord } from './record.js';
import { Spans } from './spans.js';

/** A database in which nothing has been written yet. */
export const EMPTY_META: LogMeta = {
  firstSequence: 1,
  deletedBelow: 1,
  hardState: { term: 0, vote: 0, commit: 0 },
  snapshot: NO_SNAPSHOT,
};

/** The records, read in order, do not make a whole log. */
export class LogBrokenError extends Error {
  readonly code = 'RAFT_LOG_BROKEN';
}

/** Builds the log from its records, in order, and checks that none is missing. */
export class Recovery {
  readonly spans = new Spans();
  hardState: HardState;
  snapshot: SnapshotMeta;
  entries: Entry[] = [];
  /** The next record's sequence number, unless the last one is provisional. */
  nextSequence: number;
  /** The last record, if it may still be replaced. */
  provisional: LogRecord | undefined;

  constructor(meta: LogMeta) {
    this.hardState = meta.hardState;
    this.snapshot = meta.snapshot;
    this.nextSequence = meta.firstSequence;
    this.spans.reset(meta.snapshot.index);
  }

  /**
   * @param sequence as in the key
   * @throws LogBrokenError
   */
  add(sequence: number | undefined, record: LogRecord): void {
    if (sequence !== record.sequence) {
      throw new LogBrokenError(`record ${record.sequence} stands in the place of ${sequence}`);
    }
    if (sequence !== this.nextSequence) {
      const missing = `${this.nextSequence} to ${sequence - 1}`;
      throw new LogBrokenError(`records ${missing} are missing, ${sequence} is there`);
    }
    if (this.provisional !== undefined) {
      throw new LogBrokenError(`record ${sequence - 1} exists only in its unsynced version`);
    }
    this.nextSequence = sequence + 1;
    this.hardState = record.hardState;
    if (record.snapshot !== undefined) this.replace(record.snapshot);
    this.append(record);
    if (record.provisional) this.provisional = record;
  }

  /** Call it after the last record. @throws LogBrokenError */
  finish(): void {
    const { lastIndex, startIndex } = this.spans;
    const { term, vote, commit } = this.hardState;
    if (commit > lastIndex) {
      throw new LogBrokenError(`entry ${commit} was committed, the log ends at ${lastIndex}`);
    }
    // Compacted entries were committed, even if the unsynced write that said so was lost.
    this.hardState = { term, vote, commit: Math.max(commit, startIndex) };
  }

  private replace(snapshot: SnapshotMeta): void {
    this.snapshot = snapshot;
    this.entries = [];
    this.spans.reset(snapshot.index);
  }

  private append({ sequence, entries }: LogRecord): void {
    const first = entries[0]?.index;
    if (first === undefined) return;
    if (!this.spans.joins(first)) {
      const { lastIndex } = this.spans;
      throw new LogBrokenError(
        `entries ${lastIndex + 1} to ${first - 1} are missing before record ${sequence}`,
      );
    }
    const start = this.spans.startIndex;
    this.entries.length = Math.max(0, first - start - 1);
    for (const entry of entries) if (entry.index > start) this.entries.push(entry);
    this.spans.append(sequence, first, entries.at(-1)!.index);
  }
}
