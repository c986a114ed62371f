import type { MemberId } from '../core/types.js';

/** The receiving end of a snapshot: pieces go in as they arrive, the state machine takes them out. */
export class ChunkStream implements AsyncIterable<Uint8Array> {
  readonly from: MemberId;
  private readonly pieces: Uint8Array[] = [];
  private ended = false;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  constructor(from: MemberId) {
    this.from = from;
  }

  /** @returns false when the receiver takes no more. */
  push(piece: Uint8Array): boolean {
    if (this.ended || this.failure !== undefined) return false;
    this.pieces.push(piece);
    this.wake?.();
    return true;
  }

  end(): boolean {
    if (this.failure !== undefined) return false;
    this.ended = true;
    this.wake?.();
    return true;
  }

  /** Only what has not ended can break. */
  fail(why: string): void {
    if (this.ended) return;
    this.failure ??= new Error(why);
    this.wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.pieces.shift();
      if (piece !== undefined) {
        yield piece;
        continue;
      }
      if (this.failure !== undefined) throw this.failure;
      if (this.ended) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}
