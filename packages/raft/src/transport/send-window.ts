import { MessageFormatError } from '../codec/message-codec.js';
import { SnapshotPosition } from './snapshot-frames.js';

interface Piece {
  /** Where it ends, bytes, and the CRC-32 of everything up to there. */
  readonly end: number;
  readonly crc: number;
  /** As it is sent, each time the same. */
  readonly frame: Uint8Array;
}

/**
 * The sender's side of a transfer: pieces that were read and are not acknowledged. They are kept, so
 * that after a break the state need not be read again from its start; their number is bounded, which
 * bounds both memory and what a break costs.
 *
 * Invariant: the pieces follow each other without a gap, from `acknowledged` to the end of what was
 * read; those before `next` were sent over the connection of now.
 */
export class SendWindow {
  private readonly pieceBytes: number;
  private limitBytes: number;
  private readonly position = new SnapshotPosition();
  private pieces: Piece[] = [];
  private next = 0;
  private base = 0;
  private baseCrc = 0;
  private bounded = true;

  /** @param limitBytes not acknowledged at most, but always one piece of `pieceBytes`. */
  constructor(pieceBytes: number, limitBytes: number) {
    this.pieceBytes = pieceBytes;
    this.limitBytes = Math.max(pieceBytes, limitBytes);
  }

  /** The receiver has everything before this offset. */
  get acknowledged(): number {
    return this.base;
  }

  /** No piece fits any more until some are acknowledged. */
  get isFull(): boolean {
    return this.bounded && this.position.at - this.base + this.pieceBytes > this.limitBytes;
  }

  /** The whole state was read and `end` may be sent when all pieces were. */
  get endFrame(): Uint8Array {
    return this.position.endFrame();
  }

  /** Takes in a piece, of which it makes a copy. Only when it is not full. */
  add(piece: Uint8Array): void {
    const frame = this.position.chunkFrame(piece);
    this.pieces.push({ end: this.position.at, crc: this.position.checksum, frame });
  }

  /** The next frame to send over this connection; undefined when all that was read is sent. */
  take(): Uint8Array | undefined {
    const piece = this.pieces[this.next];
    if (piece === undefined) return undefined;
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
    this.forget(at + 1);
    this.next -= at + 1;
    return true;
  }

  /** The connection broke: all that is not acknowledged may have to be sent again. */
  broke(): void {
    this.limitBytes = Math.max(this.pieceBytes, this.limitBytes / 2);
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
