import { encodeFrame, messageBytes } from '../codec/message-codec.js';
import type { Message } from '../core/message.js';

/** Messages of one turn on their way to one member. */
export class Outbox {
  private messages: Message[] = [];
  private total = 0;

  get isEmpty(): boolean {
    return this.messages.length === 0;
  }

  /** Approximate size of the frames. */
  get bytes(): number {
    return this.total;
  }

  push(message: Message): void {
    this.messages.push(message);
    this.total += messageBytes(message);
  }

  clear(): void {
    this.messages = [];
    this.total = 0;
  }

  /** Empties the box into frames of at most `frameBytes`, except for single messages above that. */
  take(frameBytes: number): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let batch: Message[] = [];
    let bytes = 0;
    for (const message of this.messages) {
      const size = messageBytes(message);
      if (bytes + size > frameBytes && batch.length > 0) {
        frames.push(encodeFrame(batch));
        batch = [];
        bytes = 0;
      }
      batch.push(message);
      bytes += size;
    }
    if (batch.length > 0) frames.push(encodeFrame(batch));
    this.clear();
    return frames;
  }
}
