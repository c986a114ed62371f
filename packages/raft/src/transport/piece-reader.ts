const NOTHING = new Uint8Array(0);

/**
 * Reads a state in pieces of a bounded size. Waiting and taking are separate, so that a reader that
 * stops waiting because its connection broke leaves no piece behind.
 */
export class PieceReader {
  private readonly iterator: AsyncIterator<Uint8Array>;
  private readonly pieceBytes: number;
  private rest: Uint8Array = NOTHING;
  private reading: Promise<IteratorResult<Uint8Array>> | undefined;
  private ended = false;

  constructor(chunks: AsyncIterable<Uint8Array>, pieceBytes: number) {
    this.iterator = chunks[Symbol.asyncIterator]();
    this.pieceBytes = pieceBytes;
  }

  /** Resolves when there is a piece, or the state has ended. @throws what the source throws */
  async ready(): Promise<void> {
    while (this.rest.length === 0 && !this.ended) {
      this.reading ??= this.iterator.next();
      const { reading } = this;
      const result = await reading;
      if (this.reading !== reading) continue;
      this.reading = undefined;
      if (result.done === true) this.ended = true;
      else this.rest = result.value;
    }
  }

  /** Call it after `ready`. A piece is valid until the next call. @returns undefined at the end */
  take(): Uint8Array | undefined {
    if (this.rest.length === 0) return undefined;
    const piece = this.rest.subarray(0, this.pieceBytes);
    this.rest = this.rest.subarray(piece.length);
    return piece;
  }

  /** Not awaited: a source that hangs in a read would hang here too. */
  stop(failed: (error: Error) => void): void {
    this.iterator.return?.()?.catch?.(failed);
  }
}
