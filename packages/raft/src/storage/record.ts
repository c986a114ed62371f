import { readU32, readU64, U32_BYTES, U64_BYTES, writeU32, writeU64 } from '../codec/bytes.js';
import { decodeEntries, framesBytes, writeFrames } from '../codec/entry-codec.js';
import { decodeSnapshotMeta, encodeSnapshotMeta } from '../codec/snapshot-codec.js';
import type { Entry, HardState, Index, SnapshotMeta } from '../core/types.js';
import type { RecordCipher } from './cipher.js';
import { RecordDamagedError, unwrap, wrapFilled } from './envelope.js';

/**
 * One durable write, as one value: term, vote, commit and entries are kept together or not at all.
 * The body:
 *
 *     0  u8   flags
 *     1  u64  sequence, the same as in the key
 *     9  u64  term
 *    17  u64  vote
 *    25  u64  commit
 *    33  u64  index of the first entry, 0 without entries
 *    41  u32  number of entries
 *    45  u32  length of the snapshot description, 0 without
 *    49       snapshot description, then the entries' frames
 */
export interface LogRecord {
  readonly sequence: number;
  /**
   * Written without sync, so it may be lost. The next record takes over its sequence number and its
   * content. Only the last record of a log can be provisional.
   */
  readonly provisional: boolean;
  /** Complete as of this record: the last record alone gives the state. */
  readonly hardState: HardState;
  readonly snapshot?: SnapshotMeta;
  readonly entries: readonly Entry[];
}

const HEADER_BYTES = 1 + 5 * U64_BYTES + 2 * U32_BYTES;
const PROVISIONAL = 1;

export function encodeRecord(record: LogRecord, cipher: RecordCipher): Uint8Array {
  const { hardState, entries } = record;
  const snapshot = record.snapshot === undefined ? undefined : encodeSnapshotMeta(record.snapshot);
  const snapshotBytes = snapshot?.length ?? 0;
  const fill = (body: Uint8Array): void => {
    body[0] = record.provisional ? PROVISIONAL : 0;
    writeU64(body, 1, record.sequence);
    writeU64(body, 9, hardState.term);
    writeU64(body, 17, hardState.vote);
    writeU64(body, 25, hardState.commit);
    writeU64(body, 33, entries[0]?.index ?? 0);
    writeU32(body, 41, entries.length);
    writeU32(body, 45, snapshotBytes);
    if (snapshot !== undefined) body.set(snapshot, HEADER_BYTES);
    writeFrames(entries, body, HEADER_BYTES + snapshotBytes);
  };
  return wrapFilled(HEADER_BYTES + snapshotBytes + framesBytes(entries), fill, cipher);
}

/** @throws RecordDamagedError, RecordUnreadableError */
export function decodeRecord(value: Uint8Array, cipher: RecordCipher): LogRecord {
  const body = unwrap(value, cipher);
  if (body.length < HEADER_BYTES) throw new RecordDamagedError('the record is cut off');
  try {
    const snapshotBytes = readU32(body, 45);
    const framesStart = HEADER_BYTES + snapshotBytes;
    const entries = decodeEntries(body.subarray(framesStart), readU32(body, 41));
    checkFirst(entries, readU64(body, 33));
    return {
      sequence: readU64(body, 1),
      provisional: (body[0]! & PROVISIONAL) !== 0,
      hardState: { term: readU64(body, 9), vote: readU64(body, 17), commit: readU64(body, 25) },
      ...(snapshotBytes > 0 && {
        snapshot: decodeSnapshotMeta(body.subarray(HEADER_BYTES, framesStart)),
      }),
      entries,
    };
  } catch (cause) {
    if (cause instanceof RecordDamagedError) throw cause;
    throw new RecordDamagedError(`the record contradicts itself: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function checkFirst(entries: readonly Entry[], first: Index): void {
  if ((entries[0]?.index ?? 0) === first) return;
  throw new RecordDamagedError(`first entry is ${entries[0]?.index}, announced ${first}`);
}
