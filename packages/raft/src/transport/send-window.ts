import { MessageFormatError } from '../codec/message-codec.js';
import { assert } from '../core/assert.js';
import { SnapshotPosition } from './snapshot-frames.js';

interface Piece {
  /** The offset where it ends, bytes, and the CRC-32 of everything up to there. */
  readonly end: number;
  readonly crc: number;
  /** The frame to send; the same each time. */
  readonly frame: Uint8Array;
}

/** The window doubles once this many windows were acknowledged without a break. */
const GROWTH = 16;
/** The initial window is the largest window divided by this. */
const BEGINNING = 4;

/**
 * The sender's side of a transfer: pieces that were read and are not acknowledged. It keeps them so
 * that after a break the state need not be read from its start again. They are few, which bounds
 * both memory and the cost of a break. Each break halves the window, and it grows only after
 * passing sixteen times what it puts at risk, so a link that breaks all the time carries little
 * twice.
 *
 * Invariant: the pieces follow each other without a gap, from `acknowledged` to the end of what was
 * read; those before `next` were sent over the current connection.
 */
export class SendWindow {
  private readonly pieceBytes: number;
  private readonly mostBytes: number;
  private limitBytes: number;
  /** Bytes acknowledged since the window last changed. */
  private passedBytes = 0;
  private readonly position = new SnapshotPosition();
  private pieces: Piece[] = [];
  private next = 0;
  private base = 0;
  private baseCrc = 0;
  private bounded = true;

  /**
   * @param mostBytes limit on bytes sent and not acknowledged, but always one piece of `pieceBytes`
   */
  constructor(pieceBytes: number, mostBytes: number) {
    this.pieceBytes = pieceBytes;
    this.mostBytes = Math.max(pieceBytes, mostBytes);
    this.limitBytes = Math.max(pieceBytes, this.mostBytes / BEGINNING);
  }

  /** The receiver has everything before this offset. */
  get acknowledged(): number {
    return this.base;
  }

  /** True when nothing may be sent or added until the receiver acknowledges something. */
  get isFull(): boolean {
    if (!this.bounded || this.next === 0) return false;
    const end = this.pieces[this.next]?.end ?? this.position.at + this.pieceBytes;
    return end - this.base > this.limitBytes;
  }

  /** True when everything that was read is sent. */
  get isSent(): boolean {
    return this.next === this.pieces.length;
  }

  /** Says where the whole state ends. Send it when the state was read and all pieces were sent. */
  get endFrame(): Uint8Array {
    return this.position.endFrame();
  }

  /** Adds a copy of a piece of at most `pieceBytes`. Only while the window is not full. */
  add(piece: Uint8Array): void {
    const frame = this.position.chunkFrame(piece);
    this.pieces.push({ end: this.position.at, crc: this.position.checksum, frame });
  }

  /**
   * Returns the next frame for this connection. Only while the window is not full and not
   * everything is sent.
   */
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
   * Takes the receiver's report of how far it is. @returns whether that is further than before
   * @throws MessageFormatError when it cannot be there: nothing may be left out or come twice
   */
  acknowledge(offset: number, crc: number): boolean {
    if (offset === this.base && crc === this.baseCrc) return false;
    const at = this.pieces.findIndex(({ end }) => end === offset);
    // What was not sent cannot have arrived.
    if (at < 0 || at >= this.next || this.pieces[at]!.crc !== crc) {
      throw new MessageFormatError(`the receiver is at ${offset}, where it cannot be`);
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

  /** Handles a break: everything not acknowledged may have to be sent again. */
  broke(): void {
    this.limitBytes = Math.max(this.pieceBytes, this.limitBytes / 2);
    this.passedBytes = 0;
  }

  /**
   * Takes the receiver's position on a new connection, and sends what follows.
   * @throws MessageFormatError as `acknowledge`
   */
  resume(offset: number, crc: number): boolean {
    this.next = this.pieces.length;
    const moved = this.acknowledge(offset, crc);
    this.next = 0;
    return moved;
  }

  /** Keeps nothing, for a receiver that never acknowledges: a break is then final. */
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
