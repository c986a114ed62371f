import { assert } from '../core/assert.js';
import type { Entry, HardState } from '../core/types.js';
import type { LogRecord } from './record.js';
import type { Spans } from './spans.js';
import type { Persist } from './storage.js';

/** What is written so far. */
interface Before {
  readonly hardState: HardState;
  readonly spans: Spans;
}

/**
 * Turns a write into a record, filling in the state of the log that the write does not change.
 * @throws RaftFaultError for a write that would break the log, before it reaches the disk
 */
export function nextRecord(write: Persist, sequence: number, before: Before): LogRecord {
  const { entries, snapshot } = write;
  const hardState = write.hardState ?? before.hardState;
  const base = snapshot?.index ?? before.spans.lastIndex;
  const first = entries[0]?.index ?? base + 1;
  const joins = snapshot === undefined ? before.spans.joins(first) : first === base + 1;
  assert(joins, 'entries leave a hole in the log', first, base);
  const last = first + entries.length - 1;
  assert(entries.length === 0 || entries.at(-1)!.index === last, 'entries have gaps', first);
  const end = entries.length === 0 ? base : last;
  assert(hardState.commit <= end, 'commit beyond the log', hardState.commit, end);
  const record = { sequence, provisional: !write.mustSync, hardState, entries };
  return snapshot === undefined ? record : { ...record, snapshot };
}

/**
 * Merges two records into one with the effect of `earlier`, then `later`.
 *
 * LevelDB closes a full write-ahead file without syncing it. A crash can then lose an unsynced
 * record at its end although a later, synced one survives. So the store never relies on an unsynced
 * record: the next record takes its number and repeats its content.
 */
export function merge(earlier: LogRecord | undefined, later: LogRecord): LogRecord {
  if (earlier === undefined || later.snapshot !== undefined) return later;
  return {
    ...later,
    ...(earlier.snapshot !== undefined && { snapshot: earlier.snapshot }),
    entries: overwrite(earlier.entries, later.entries),
  };
}

function overwrite(earlier: readonly Entry[], later: readonly Entry[]): readonly Entry[] {
  const [first] = later;
  if (first === undefined) return earlier;
  return [...earlier.filter(({ index }) => index < first.index), ...later];
}
