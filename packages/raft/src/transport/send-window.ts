import { MessageFormatError } from '../codec/message-codec.js';
import { assert } from '../core/assert.js';
import { SnapshotPosition } from './snapshot-frames.js';

interface Piece {
  /** Where it ends, bytes, and the CRC-32 of everything up to there. */
  readonly end: number;
  readonly crc: number;
  /** As it is sent, each time the same. */
  readonly frame: Uint8Array;
}

/** A window that was acknowledged so many times over without a break is doubled. */
const GROWTH = 16;
/** What the window is to begin with is so small a part of what it may become. */
const BEGINNING = 4;

/**
 * The sender's side of a transfer: pieces that were read and are not acknowledged. They are kept, so
 * that after a break the state need not be read again from its start; they are few, which bounds both
 * memory and what a break costs. Each break halves the window, and it grows only when what passed is
 * sixteen times what it puts at risk: a link that breaks all the time carries little twice.
 *
 * Invariant: the pieces follow each other without a gap, from `acknowledged` to the end of what was
 * read; those before `next` were sent over the connection of now.
 */
export class SendWindow {
  private readonly pieceBytes: number;
  private readonly mostBytes: number;
  private limitBytes: number;
  /** Acknowledged since the window was what it is. */
  private passedBytes = 0;
  private readonly position = new SnapshotPosition();
  private pieces: Piece[] = [];
  private next = 0;
  private base = 0;
  private baseCrc = 0;
  private bounded = true;

  /** @param mostBytes sent and not acknowledged at most, but always one piece of `pieceBytes`. */
  constructor(pieceBytes: number, mostBytes: number) {
    this.pieceBytes = pieceBytes;
    this.mostBytes = Math.max(pieceBytes, mostBytes);
    this.limitBytes = Math.max(pieceBytes, this.mostBytes / BEGINNING);
  }

  /** The receiver has everything before this offset. */
  get acknowledged(): number {
    return this.base;
  }

  /** Nothing may be sent or added until something is acknowledged. */
  get isFull(): boolean {
    if (!this.bounded || this.next === 0) return false;
    const end = this.pieces[this.next]?.end ?? this.position.at + this.pieceBytes;
    return end - this.base > this.limitBytes;
  }

  /** Whether all that was read is sent. */
  get isSent(): boolean {
    return this.next === this.pieces.length;
  }

  /** Says where the whole state ends; to be sent when it was read and all pieces were sent. */
  get endFrame(): Uint8Array {
    return this.position.endFrame();
  }

  /** Takes in a piece of at most `pieceBytes`, of which it makes a copy. Only when it is not full. */
  add(piece: Uint8Array): void {
    const frame = this.position.chunkFrame(piece);
    this.pieces.push({ end: this.position.at, crc: this.position.checksum, frame });
  }

  /** The next frame to send over this connection. Only when it is not full, and not all is sent. */
  take(): Uint8Array {
    const piece = this.pieces[this.next];
    assert(piece !== undefined, 'all pieces are sent');
    this.next++;
    if (!this.bounded) {
      this.forget(this.next);
      this.next = 0;
    }
    return piece.frame;
  }

  /**
   * The receiver says how far it is. @returns whether that is further than before.
   * @throws MessageFormatError when it can not be there: nothing must be left out or come twice.
   */
  acknowledge(offset: number, crc: number): boolean {
    if (offset === this.base && crc === this.baseCrc) return false;
    const at = this.pieces.findIndex(({ end }) => end === offset);
    // What was not sent can not have arrived.
    if (at < 0 || at >= this.next || this.pieces[at]!.crc !== crc) {
      throw new MessageFormatError(`the receiver is at ${offset}, where it can not be`);
    }
    this.passedBytes += offset - this.base;
    this.forget(at + 1);
    this.next -= at + 1;
    if (this.passedBytes >= GROWTH * this.limitBytes) {
      this.limitBytes = Math.min(this.mostBytes, this.limitBytes * 2);
      this.passedBytes = 0;
    }
    return true;
  }

  /** The connection broke: all that is not acknowledged may have to be sent again. */
  broke(): void {
    this.limitBytes = Math.max(this.pieceBytes, this.limitBytes / 2);
    this.passedBytes = 0;
  }

  /**
   * Over a new connection the receiver said where it is: sends what follows.
   * @throws MessageFormatError as `acknowledge`.
   */
  resume(offset: number, crc: number): boolean {
    this.next = this.pieces.length;
    const moved = this.acknowledge(offset, crc);
    this.next = 0;
    return moved;
  }

  /** The receiver never acknowledges: nothing is kept, and a break can not be mended. */
  keepNothing(): void {
    this.bounded = false;
    this.forget(this.next);
    this.next = 0;
  }

  private forget(count: number): void {
    const last = this.pieces[count - 1];
    if (last === undefined) return;
    this.base = last.end;
    this.baseCrc = last.crc;
    this.pieces = this.pieces.slice(count);
  }
}
