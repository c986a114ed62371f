import { assert } from './assert.js';
import type { Index } from './types.js';

const INITIAL_SLOTS = 8;

/**
 * Appends in flight to one follower, oldest first: a ring of (last index, bytes). Bounded in
 * messages and in bytes; lets through the message that reaches the byte limit. The ring grows on
 * demand, because most followers have few messages in flight.
 */
export class Inflights {
  private indexes = new Array<Index>(INITIAL_SLOTS).fill(0);
  private sizes = new Array<number>(INITIAL_SLOTS).fill(0);
  private start = 0;
  private count = 0;
  private bytes = 0;
  private readonly maxMessages: number;
  private readonly maxBytes: number;

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages;
    this.maxBytes = maxBytes;
  }

  get length(): number {
    return this.count;
  }

  get full(): boolean {
    return this.count >= this.maxMessages || this.bytes >= this.maxBytes;
  }

  add(index: Index, bytes: number): void {
    assert(!this.full, 'append sent through a full window', index);
    if (this.count === this.indexes.length) this.grow();
    const slot = (this.start + this.count) % this.indexes.length;
    this.indexes[slot] = index;
    this.sizes[slot] = bytes;
    this.count++;
    this.bytes += bytes;
  }

  /** Frees all messages whose last index is at most `index`. */
  freeTo(index: Index): void {
    while (this.count > 0 && this.indexes[this.start]! <= index) {
      this.bytes -= this.sizes[this.start]!;
      this.start = (this.start + 1) % this.indexes.length;
      this.count--;
    }
    assert(this.count > 0 || this.bytes === 0, 'in-flight bytes leak', this.bytes);
  }

  reset(): void {
    this.start = 0;
    this.count = 0;
    this.bytes = 0;
  }

  private grow(): void {
    const order = Array.from({ length: this.count }, (_, i) => (this.start + i) % this.count);
    const size = Math.min(this.count * 2, this.maxMessages);
    const indexes = new Array<Index>(size).fill(0);
    const sizes = new Array<number>(size).fill(0);
    for (const [i, slot] of order.entries()) {
      indexes[i] = this.indexes[slot]!;
      sizes[i] = this.sizes[slot]!;
    }
    this.indexes = indexes;
    this.sizes = sizes;
    this.start = 0;
  }
}
