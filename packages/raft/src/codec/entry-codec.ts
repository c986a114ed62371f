import { assert } from '../core/assert.js';
import { type Entry, EntryKind, type Index, type Term } from '../core/types.js';
import { readU32, readU64, writeU32, writeU64 } from './bytes.js';

/**
 * An entry as bytes, the same on disk and on the wire, made once:
 *
 *     0  u32  length of data
 *     4  u8   kind
 *     5  u64  index
 *    13  u64  term
 *    21       data
 *
 * All numbers big-endian. Frames carry no checksum of their own: the record on disk and the
 * connection each have one.
 */
export const FRAME_HEADER_BYTES = 21;

/** The largest data an entry may hold. The store's own limit for a transaction is far below. */
export const ENTRY_DATA_LIMIT_BYTES = 8 * 1024 * 1024;

/**
 * Bytes that are not a sequence of entries: a damaged record, or a peer that speaks another
 * protocol.
 */
export class EntryFormatError extends Error {
  readonly code = 'RAFT_ENTRY_FORMAT';
}

/** Makes an entry together with its frame; the entry's `data` is part of the frame. */
export function createEntry(index: Index, term: Term, kind: EntryKind, data: Uint8Array): Entry {
  const frame = encode(index, term, kind, data);
  return { index, term, kind, data: frame.subarray(FRAME_HEADER_BYTES), frame };
}

/**
 * Returns the entry's frame, which the first call makes and keeps with the entry. The entry's data
 * is then part of the frame, so the proposer's buffer, of which it may be a small part, is
 * released.
 */
export function frameOf(entry: Entry): Uint8Array {
  if (entry.frame === undefined) {
    const frame = encode(entry.index, entry.term, entry.kind, entry.data);
    entry.frame = frame;
    (entry as { data: Uint8Array }).data = frame.subarray(FRAME_HEADER_BYTES);
  }
  return entry.frame;
}

function encode(index: Index, term: Term, kind: EntryKind, data: Uint8Array): Uint8Array {
  assert(Number.isSafeInteger(index) && index > 0, 'entry index out of range', index);
  assert(Number.isSafeInteger(term) && term >= 0, 'entry term out of range', term);
  assert(data.length <= ENTRY_DATA_LIMIT_BYTES, 'entry data too large', data.length);
  // Small frames share Node's pool: a buffer for each costs more than filling it.
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + data.length);
  writeU32(frame, 0, data.length);
  frame[4] = kind;
  writeU64(frame, 5, index);
  writeU64(frame, 13, term);
  frame.set(data, FRAME_HEADER_BYTES);
  return frame;
}

/** Size of all frames together, in bytes. */
export function framesBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += frameOf(entry).length;
  return bytes;
}

/** Writes the frames one after another. @returns the offset after the last */
export function writeFrames(
  entries: readonly Entry[],
  target: Uint8Array,
  startOffset: number,
): number {
  let offset = startOffset;
  for (const entry of entries) {
    const frame = frameOf(entry);
    target.set(frame, offset);
    offset += frame.length;
  }
  return offset;
}

/**
 * Reads exactly `count` entries that fill `block` and follow one another by index. Copies the block
 * once: entries live long, and must not hold or share a buffer of the network's or the database's.
 * Frame and data of the entries are parts of that one copy.
 * @throws EntryFormatError
 */
export function decodeEntries(block: Uint8Array, count: number): Entry[] {
  if (count * FRAME_HEADER_BYTES > block.length) {
    throw new EntryFormatError(`${count} entries do not fit in ${block.length} bytes`);
  }
  const own = new Uint8Array(block);
  const entries: Entry[] = [];
  let offset = 0;
  for (let i = 0; i < count; i++) {
    const entry = decodeAt(own, offset);
    const previous = entries[i - 1];
    if (previous !== undefined && entry.index !== previous.index + 1) {
      throw new EntryFormatError(`entry ${entry.index} follows entry ${previous.index}`);
    }
    if (previous !== undefined && entry.term < previous.term) {
      throw new EntryFormatError(`term falls to ${entry.term} at entry ${entry.index}`);
    }
    entries.push(entry);
    offset += FRAME_HEADER_BYTES + entry.data.length;
  }
  if (offset !== own.length) {
    throw new EntryFormatError(`${own.length - offset} bytes after the last entry`);
  }
  return entries;
}

function decodeAt(bytes: Uint8Array, offset: number): Entry {
  if (offset + FRAME_HEADER_BYTES > bytes.length) {
    throw new EntryFormatError('entry header is cut off');
  }
  const length = readU32(bytes, offset);
  const kind = bytes[offset + 4];
  if (kind !== EntryKind.Normal && kind !== EntryKind.ConfChange) {
    throw new EntryFormatError(`unknown entry kind ${kind}`);
  }
  const end = offset + FRAME_HEADER_BYTES + length;
  if (length > ENTRY_DATA_LIMIT_BYTES || end > bytes.length) {
    throw new EntryFormatError(`entry data of ${length} bytes is cut off or too large`);
  }
  const frame = bytes.subarray(offset, end);
  const [index, term] = readPosition(frame);
  return { index, term, kind, data: frame.subarray(FRAME_HEADER_BYTES), frame };
}

function readPosition(frame: Uint8Array): [Index, Term] {
  try {
    const index = readU64(frame, 5);
    if (index === 0) throw new RangeError('index is 0');
    return [index, readU64(frame, 13)];
  } catch (cause) {
    throw new EntryFormatError(`entry has an impossible position: ${String(cause)}`, { cause });
  }
}
