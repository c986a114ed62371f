import { crc32 } from 'node:zlib';
import { readU32, readU64, U32_BYTES, U64_BYTES, writeU32, writeU64 } from '../codec/bytes.js';
import { decodeFrame, encodeFrame, MessageFormatError } from '../codec/message-codec.js';
import { MessageType, type SnapshotMessage } from '../core/message.js';
import type { MemberId, SnapshotMeta } from '../core/types.js';

/**
 * Frames of a snapshot's own connection, after the hello. Each begins with its kind. Sender: one
 * Header (a frame of one message), Chunks, one End. Receiver: Alive now and then, and at last Taken
 * or Refused; to a sender whose hello names a transfer also At, before any Alive and after each
 * Chunk.
 */
export const SnapshotFrame = {
  Header: 1,
  /** u64 offset, u32 CRC-32 of everything up to the end of this piece, then the piece. */
  Chunk: 2,
  /** u64 size, u32 CRC-32 of everything. */
  End: 3,
  Alive: 4,
  /** The state machine has the snapshot. */
  Taken: 5,
  /** The reason, in UTF-8. */
  Refused: 6,
  /** u64 offset, u32 CRC-32: the receiver has everything up to there. */
  At: 7,
} as const;

const POSITION_BYTES = 1 + U64_BYTES + U32_BYTES;

/**
 * Largest piece accepted, bytes: several wait in memory. Ours have 64 KiB
 * (TransportLimits.chunkBytes).
 */
export const PIECE_LIMIT_BYTES = 1024 * 1024;
/** Longest reason in a Refused, characters. */
const REASON_LIMIT_CHARS = 500;

export function headerFrame(message: SnapshotMessage, meta: SnapshotMeta): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(SnapshotFrame.Header),
    encodeFrame([{ ...message, snapshot: meta }]),
  ]);
}

/** @throws MessageFormatError, WireVersionError */
export function readHeader(frame: Uint8Array, from: MemberId): SnapshotMessage {
  const { messages } = decodeFrame(frame.subarray(1), from);
  const [message] = messages;
  const announces = message?.type === MessageType.Snapshot && message.snapshot !== undefined;
  if (messages.length === 1 && announces) return message;
  throw new MessageFormatError('the header announces no snapshot');
}

/** Refuses the snapshot with a reason. */
export function refusedFrame(reason: string): Uint8Array {
  const text = Buffer.from(reason.slice(0, REASON_LIMIT_CHARS));
  return Buffer.concat([Uint8Array.of(SnapshotFrame.Refused), text]);
}

/** The reason in a Refused, cut to the limit. */
export function reasonIn(frame: Uint8Array): string {
  const text = Buffer.from(frame.subarray(1, 1 + 4 * REASON_LIMIT_CHARS)).toString();
  return text.slice(0, REASON_LIMIT_CHARS);
}

/**
 * @returns offset and CRC-32 of an At
 * @throws MessageFormatError
 */
export function readAt(frame: Uint8Array): [offset: number, crc: number] {
  checkEnd(frame);
  return readPosition(frame);
}

/** How far a snapshot has come; the same on both sides. */
export class SnapshotPosition {
  private offset = 0;
  private crc = 0;

  /** In bytes. */
  get at(): number {
    return this.offset;
  }

  /** CRC-32 of everything up to there. */
  get checksum(): number {
    return this.crc;
  }

  atFrame(): Uint8Array {
    const frame = Buffer.allocUnsafe(POSITION_BYTES);
    writePosition(frame, SnapshotFrame.At, this.offset, this.crc);
    return frame;
  }

  chunkFrame(piece: Uint8Array): Uint8Array {
    const start = this.offset;
    this.advance(piece);
    const frame = Buffer.allocUnsafe(POSITION_BYTES + piece.length);
    writePosition(frame, SnapshotFrame.Chunk, start, this.crc);
    frame.set(piece, POSITION_BYTES);
    return frame;
  }

  endFrame(): Uint8Array {
    const frame = Buffer.allocUnsafe(POSITION_BYTES);
    writePosition(frame, SnapshotFrame.End, this.offset, this.crc);
    return frame;
  }

  /**
   * @returns the piece, as its own copy
   * @throws MessageFormatError when it is not the next one
   */
  readChunk(frame: Uint8Array): Uint8Array {
    const [start, crc] = readPosition(frame);
    if (frame.length > POSITION_BYTES + PIECE_LIMIT_BYTES) {
      throw new MessageFormatError(`a piece of ${frame.length} bytes`);
    }
    if (start !== this.offset) {
      throw new MessageFormatError(`a piece at ${start} follows one that ends at ${this.offset}`);
    }
    const piece = new Uint8Array(frame.subarray(POSITION_BYTES));
    this.advance(piece);
    if (crc === this.crc) return piece;
    throw new MessageFormatError(`the checksum differs in the piece at ${start}`);
  }

  /** @throws MessageFormatError when something is missing */
  readEnd(frame: Uint8Array): void {
    checkEnd(frame);
    const [size, crc] = readPosition(frame);
    if (size === this.offset && crc === this.crc) return;
    throw new MessageFormatError(`the end is at ${size}, the pieces end at ${this.offset}`);
  }

  private advance(piece: Uint8Array): void {
    this.offset += piece.length;
    this.crc = crc32(piece, this.crc);
  }
}

function checkEnd(frame: Uint8Array): void {
  if (frame.length > POSITION_BYTES) throw new MessageFormatError('bytes follow a position');
}

function writePosition(frame: Uint8Array, kind: number, offset: number, crc: number): void {
  frame[0] = kind;
  writeU64(frame, 1, offset);
  writeU32(frame, 1 + U64_BYTES, crc);
}

function readPosition(frame: Uint8Array): [offset: number, crc: number] {
  try {
    return [readU64(frame, 1), readU32(frame, 1 + U64_BYTES)];
  } catch (cause) {
    throw new MessageFormatError('a piece is cut off', { cause });
  }
}
