import { crc32c, somePrefixHasCrc32c } from './crc32c.js';
import { sequenceOf } from './keys.js';

/**
 * Reads LevelDB's own write-ahead file as it is on disk, before LevelDB does. When LevelDB meets a
 * fault there, it silently drops the rest of the block and continues, and its next start shows no
 * trace of the fault. (doc/log_format.md of LevelDB; db/log_reader.cc of version 1.20.)
 *
 * A fault is either damage, or what a crash leaves of a write under way, which was never
 * acknowledged. A write under way is torn in one of two ways: the file ends in the middle of it, or
 * sectors of it were never written and read as zeros. Everything else is damage. etcd has the same
 * rule (`wal/decoder.go`, isTornEntry).
 */
export interface LogFileFault {
  readonly kind: 'torn' | 'damaged';
  readonly offset: number;
  readonly what: string;
}

export interface LogFileReport {
  readonly faults: readonly LogFileFault[];
  /**
   * Sequence numbers of our records before the first fault, in the order they were written, repeats
   * included.
   */
  readonly before: readonly number[];
  /** Sequence numbers found after the first fault. */
  readonly after: readonly number[];
}

const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const SECTOR_BYTES = 512;
/** Kinds of piece: a whole write, its first piece, (3) a middle piece, the last. */
const FULL = 1;
const FIRST = 2;
const LAST = 4;
/**
 * Stored checksums are rotated and shifted by this, so that a checksum over data that itself holds
 * checksums stays strong.
 */
const MASK_DELTA = 0xa282ead8;

export function inspectLogFile(file: Uint8Array): LogFileReport {
  return new LogFileReader(file).read();
}

class LogFileReader {
  private readonly file: Uint8Array;
  private readonly faults: LogFileFault[] = [];
  private readonly before: number[] = [];
  private readonly after: number[] = [];
  /** Pieces of a write that spans several blocks, and where it began. */
  private pieces: Uint8Array[] = [];
  private begun = 0;

  constructor(file: Uint8Array) {
    this.file = file;
  }

  read(): LogFileReport {
    for (let start = 0; start < this.file.length; start += BLOCK_BYTES) this.readBlock(start);
    if (this.pieces.length > 0) this.fault('torn', this.begun, 'the file ends inside a write');
    return { faults: this.faults, before: this.before, after: this.after };
  }

  private readBlock(start: number): void {
    const end = Math.min(start + BLOCK_BYTES, this.file.length);
    let offset = start;
    while (offset < end) {
      // The last bytes of a block are padding where no header fits.
      if (end - offset < HEADER_BYTES) {
        if (end - start < BLOCK_BYTES) this.fault('torn', offset, 'the file ends inside a header');
        return;
      }
      const length = this.file[offset + 4]! | (this.file[offset + 5]! << 8);
      const next = offset + HEADER_BYTES + length;
      if (!this.readPiece(offset, next, end)) {
        this.pieces = [];
        if (this.hasUnwrittenSector(offset, offset + HEADER_BYTES)) {
          // The length may be wrong, and acknowledged records may follow.
          offset = this.nextWhole(offset + 1, end);
          continue;
        }
      }
      // A damaged piece with known bounds can be stepped over.
      if (next > end) return;
      offset = next;
    }
  }

  /** Returns where the next intact piece begins; `end` if no piece follows. */
  private nextWhole(from: number, end: number): number {
    for (let offset = from; offset + HEADER_BYTES <= end; offset++) {
      const type = this.file[offset + 6]!;
      if (type < FULL || type > LAST) continue;
      const next = offset + HEADER_BYTES + (this.file[offset + 4]! | (this.file[offset + 5]! << 8));
      if (next <= end && this.isWhole(offset, next)) return offset;
    }
    return end;
  }

  private isWhole(offset: number, next: number): boolean {
    return crc32c(this.file.subarray(offset + 6, next)) === this.storedCrc(offset);
  }

  /** @returns false after a fault */
  private readPiece(offset: number, next: number, end: number): boolean {
    const type = this.file[offset + 6]!;
    if (next > end) {
      this.fault(...this.classifyOverlong(offset, end));
      return false;
    }
    if (type === 0 && next === offset + HEADER_BYTES) {
      this.fault('torn', offset, 'unwritten space');
      return false;
    }
    if (!this.isWhole(offset, next)) {
      const torn = this.hasUnwrittenSector(offset, next);
      this.fault(torn ? 'torn' : 'damaged', offset, 'the checksum does not match');
      return false;
    }
    return this.assemble(type, offset, this.file.subarray(offset + HEADER_BYTES, next));
  }

  private classifyOverlong(offset: number, end: number): ['torn' | 'damaged', number, string] {
    if (end < this.file.length || end % BLOCK_BYTES === 0) {
      const torn = this.hasUnwrittenSector(offset, end);
      return [torn ? 'torn' : 'damaged', offset, 'a write is longer than its block'];
    }
    // The checksum does not cover the length: if it fits a shorter piece, the length is wrong.
    const complete = somePrefixHasCrc32c(
      this.file.subarray(offset + 6, end),
      this.storedCrc(offset),
    );
    if (complete) return ['damaged', offset, 'the length of a write is wrong'];
    return ['torn', offset, 'the file ends inside a write'];
  }

  private assemble(type: number, offset: number, piece: Uint8Array): boolean {
    const inside = this.pieces.length > 0;
    const begins = type === FULL || type === FIRST;
    if (type > LAST || begins === inside) {
      // After a fault, the rest of the write it hit lacks its beginning, as expected.
      if (this.faults.length === 0) this.fault('damaged', offset, 'writes are out of order');
      if (!begins) return false;
      this.pieces = [];
    }
    if (begins) this.begun = offset;
    if (type === FULL) this.collect(piece);
    else if (type === LAST) this.collect(Buffer.concat([...this.pieces, piece]));
    else this.pieces.push(piece);
    if (type === LAST) this.pieces = [];
    return true;
  }

  private collect(batch: Uint8Array): void {
    const found = this.faults.length === 0 ? this.before : this.after;
    found.push(...sequencesInBatch(batch));
  }

  /** Reports whether the part of any sector in this range is all zeros. */
  private hasUnwrittenSector(start: number, end: number): boolean {
    let offset = start;
    while (offset < end) {
      const sectorEnd = Math.min(end, (Math.floor(offset / SECTOR_BYTES) + 1) * SECTOR_BYTES);
      if (this.file.subarray(offset, sectorEnd).every((byte) => byte === 0)) return true;
      offset = sectorEnd;
    }
    return false;
  }

  private storedCrc(offset: number): number {
    const { file } = this;
    const masked =
      (file[offset]! |
        (file[offset + 1]! << 8) |
        (file[offset + 2]! << 16) |
        (file[offset + 3]! << 24)) >>>
      0;
    const rotated = (masked - MASK_DELTA) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  }

  private fault(kind: 'torn' | 'damaged', offset: number, what: string): void {
    this.faults.push({ kind, offset, what });
  }
}

const BATCH_HEADER_BYTES = 12;
const TAG_PUT = 1;

/**
 * Returns the sequence numbers of our records in one write. LevelDB may have merged several writes.
 */
function sequencesInBatch(batch: Uint8Array): number[] {
  const sequences: number[] = [];
  let offset = BATCH_HEADER_BYTES;
  const bytes = (): Uint8Array => {
    let length = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = batch[offset++] ?? 0;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    const start = offset;
    offset += length;
    return batch.subarray(start, offset);
  };
  while (offset < batch.length) {
    const tag = batch[offset++];
    const sequence = sequenceOf(bytes());
    if (tag !== TAG_PUT) continue;
    bytes();
    if (sequence !== undefined) sequences.push(sequence);
  }
  return sequences;
}
