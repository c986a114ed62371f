import { crc32c } from './crc32c.js';
import type { Operation } from './database.js';

/**
 * LevelDB's write-ahead file: pieces of at most a block, each with a masked CRC-32C, which hold
 * batches of changes (doc/log_format.md; db/log_writer.cc, db/log_reader.cc and db/write_batch.cc
 * of version 1.20).
 */
const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const BATCH_HEADER_BYTES = 12;
const MASK_DELTA = 0xa282ead8;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;
const DELETE = 0;
const PUT = 1;
const NOTHING = new Uint8Array();

/** One write of LevelDB, with the sequence number of its first change. */
export interface Batch {
  readonly sequence: number;
  readonly operations: readonly Operation[];
}

/** Encodes a write. */
export function encodeBatch({ sequence, operations }: Batch): Uint8Array {
  let length = BATCH_HEADER_BYTES;
  for (const [key, value] of operations) {
    length += 1 + varintBytes(key.length) + key.length;
    if (value !== undefined) length += varintBytes(value.length) + value.length;
  }
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sequence), true);
  view.setUint32(8, operations.length, true);
  let at = BATCH_HEADER_BYTES;
  const put = (part: Uint8Array): void => {
    let left = part.length;
    for (; left >= 0x80; left >>>= 7) bytes[at++] = left | 0x80;
    bytes[at++] = left;
    bytes.set(part, at);
    at += part.length;
  };
  for (const [key, value] of operations) {
    bytes[at++] = value === undefined ? DELETE : PUT;
    put(key);
    if (value !== undefined) put(value);
  }
  return bytes;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left >= 0x80; left >>>= 7) bytes++;
  return bytes;
}

/** @returns undefined when the bytes are not a batch */
export function decodeBatch(bytes: Uint8Array): Batch | undefined {
  if (bytes.length < BATCH_HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = BATCH_HEADER_BYTES;
  const take = (): Uint8Array => {
    let length = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes[at++] ?? 0;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    at += length;
    return bytes.slice(at - length, at);
  };
  const operations: Operation[] = [];
  while (at < bytes.length) {
    const kind = bytes[at++];
    const key = take();
    operations.push(kind === PUT ? [key, take()] : [key]);
  }
  return { sequence: Number(view.getBigUint64(0, true)), operations };
}

/** Returns the bytes that a write adds to a file of `length` bytes. */
export function frame(batch: Uint8Array, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let block = length % BLOCK_BYTES;
  let at = 0;
  let begins = true;
  do {
    let room = BLOCK_BYTES - block;
    if (room < HEADER_BYTES) {
      parts.push(new Uint8Array(room));
      block = 0;
      room = BLOCK_BYTES;
    }
    const end = Math.min(batch.length, at + room - HEADER_BYTES);
    const ends = end === batch.length;
    const piece = new Uint8Array(HEADER_BYTES + end - at);
    piece[4] = (end - at) & 0xff;
    piece[5] = (end - at) >>> 8;
    piece[6] = begins ? (ends ? FULL : FIRST) : ends ? LAST : MIDDLE;
    piece.set(batch.subarray(at, end), HEADER_BYTES);
    new DataView(piece.buffer).setUint32(0, mask(crc32c(piece.subarray(6))), true);
    parts.push(piece);
    block += piece.length;
    at = end;
    begins = false;
  } while (at < batch.length);
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function mask(crc: number): number {
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

/**
 * Reads a file as LevelDB does when it opens. When it meets something it does not understand,
 * LevelDB drops it with the rest of the block, complains, and continues.
 * @param complain called for each drop that LevelDB reports; it does not report a truncated end
 */
export function readBatches(file: Uint8Array, complain: (what: string) => void): Batch[] {
  const batches: Batch[] = [];
  let pieces: Uint8Array | undefined;
  const dropped = (bytes: number, what: string): void =>
    complain(`dropping ${bytes} bytes; Corruption: ${what}`);
  const collect = (bytes: Uint8Array): void => {
    const batch = decodeBatch(bytes);
    if (batch === undefined) dropped(bytes.length, 'log record too small');
    else batches.push(batch);
  };
  for (const { type, piece } of readPieces(file, dropped)) {
    switch (type) {
      case FULL:
      case FIRST:
        if (pieces !== undefined && pieces.length > 0) {
          dropped(pieces.length, `partial record without end(${type})`);
        }
        pieces = type === FIRST ? piece : undefined;
        if (type === FULL) collect(piece);
        break;
      case MIDDLE:
      case LAST:
        if (pieces === undefined) {
          dropped(piece.length, `missing start of fragmented record(${type - 2})`);
          break;
        }
        pieces = Buffer.concat([pieces, piece]);
        if (type === MIDDLE) break;
        collect(pieces);
        pieces = undefined;
        break;
      default:
        if (type !== undefined) dropped(piece.length, `unknown record type ${type}`);
        else if (pieces !== undefined) dropped(pieces.length, 'error in middle of record');
        pieces = undefined;
    }
  }
  return batches;
}

interface Piece {
  /** Undefined where something was dropped. */
  readonly type: number | undefined;
  readonly piece: Uint8Array;
}

function* readPieces(
  file: Uint8Array,
  dropped: (bytes: number, what: string) => void,
): Generator<Piece> {
  const bad: Piece = { type: undefined, piece: NOTHING };
  for (let start = 0; start < file.length; start += BLOCK_BYTES) {
    const block = file.subarray(start, start + BLOCK_BYTES);
    const isLast = block.length < BLOCK_BYTES;
    for (let at = 0; block.length - at >= HEADER_BYTES; ) {
      const length = block[at + 4]! | (block[at + 5]! << 8);
      const type = block[at + 6]!;
      const next = at + HEADER_BYTES + length;
      if (next > block.length) {
        if (isLast) return;
        dropped(block.length - at, 'bad record length');
        yield bad;
        break;
      }
      if (type === 0 && length === 0) {
        yield bad;
        break;
      }
      const stored = new DataView(block.buffer, block.byteOffset + at, 4).getUint32(0, true);
      if (mask(crc32c(block.subarray(at + 6, next))) !== stored) {
        dropped(block.length - at, 'checksum mismatch');
        yield bad;
        break;
      }
      yield { type, piece: block.subarray(at + HEADER_BYTES, next) };
      at = next;
    }
  }
}

const SECTOR_BYTES = 512;

/**
 * Reports whether damage at this place looks like a torn write: it is in the last write of the
 * file, and its piece reads as zeros in some sector, as a sector that was never written does.
 */
export function hidesAsTorn(file: Uint8Array, offset: number): boolean {
  let start = 0;
  while (start < file.length) {
    const room = BLOCK_BYTES - (start % BLOCK_BYTES);
    const length = file[start + 4]! | (file[start + 5]! << 8);
    const next = start + (room < HEADER_BYTES ? room : HEADER_BYTES + length);
    if (next > offset) return next >= file.length && hasZeroSector(file.subarray(0, next), start);
    start = next;
  }
  return false;
}

function hasZeroSector(file: Uint8Array, start: number): boolean {
  for (let at = start; at < file.length; ) {
    const end = Math.min(file.length, at - (at % SECTOR_BYTES) + SECTOR_BYTES);
    if (file.subarray(at, end).every((byte) => byte === 0)) return true;
    at = end;
  }
  return false;
}
