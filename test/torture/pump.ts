import type { Socket } from 'node:net';
import type { Wire } from './wire.js';

/** A sender waits while more than this is in flight in one direction of a connection. */
export const UNDER_WAY_LIMIT_BYTES = 256 * 1024;

interface Piece {
  readonly bytes: Buffer;
  readonly dueMs: number;
}

/** One direction of a connection: carries bytes from one socket to another as its wire allows. */
export class Pump {
  private readonly from: Socket;
  private readonly to: Socket;
  private readonly wire: Wire;
  private pieces: Piece[] = [];
  private underWayBytes = 0;
  private ended = false;
  private asleep = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, wire: Wire) {
    this.from = from;
    this.to = to;
    this.wire = wire;
    from.on('data', (bytes: Buffer) => this.take(bytes));
    // An end, too, has to arrive.
    from.on('close', () => {
      this.ended = true;
      this.move();
    });
    to.on('drain', () => this.move());
    to.on('close', () => {
      this.pieces = [];
      clearTimeout(this.timer);
    });
  }

  private take(bytes: Buffer): void {
    this.pieces.push({ bytes, dueMs: performance.now() + this.wire.delayMs });
    this.underWayBytes += bytes.length;
    if (this.underWayBytes > UNDER_WAY_LIMIT_BYTES) this.from.pause();
    this.move();
  }

  private move(): void {
    const { to, wire } = this;
    while (!to.destroyed) {
      if (wire.held) {
        this.sleep();
        return;
      }
      const next = this.pieces[0];
      if (next === undefined) break;
      const waitMs = next.dueMs - performance.now();
      if (waitMs > 0) {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.move(), waitMs);
        return;
      }
      if (to.writableNeedDrain) return;
      this.pieces.shift();
      this.underWayBytes -= next.bytes.length;
      if (this.underWayBytes <= UNDER_WAY_LIMIT_BYTES) this.from.resume();
      to.write(next.bytes);
    }
    if (this.ended && !to.destroyed) to.destroySoon();
  }

  private sleep(): void {
    if (this.asleep) return;
    this.asleep = true;
    this.wire.whenReleased(() => {
      this.asleep = false;
      this.move();
    });
  }
}
