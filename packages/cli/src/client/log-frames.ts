/** Header of a frame of Docker's multiplexed stream: stream, 3 zeros, length in 4 bytes big-endian. */
const FRAME_HEADER_BYTES = 8;
/** A frame holds one line; longer ones mean that this is no such stream. */
export const FRAME_MAX_BYTES = 16 * 1024 * 1024;

/** Which stream a frame belongs to: `error` is the daemon's own and ends the log. */
export type LogStream = 'stdout' | 'stderr' | 'error';

export interface LogFrame {
  readonly stream: LogStream;
  readonly data: Buffer;
}

/** Takes the multiplexed stream apart, however its bytes arrive. */
export class LogFrames {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * The frames that are complete with these bytes.
   * @throws Error when the bytes are no multiplexed stream
   */
  push(chunk: Uint8Array): LogFrame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const frames: LogFrame[] = [];
    while (this.#rest.length >= FRAME_HEADER_BYTES) {
      const stream = streamOf(this.#rest[0]!);
      const end = FRAME_HEADER_BYTES + this.#rest.readUInt32BE(4);
      if (stream === undefined || end > FRAME_MAX_BYTES) {
        throw new Error('the daemon sent something that is no log stream');
      }
      if (this.#rest.length < end) break;
      frames.push({ stream, data: this.#rest.subarray(FRAME_HEADER_BYTES, end) });
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }

  /** @throws Error when the stream ended in the middle of a frame */
  end(): void {
    if (this.#rest.length > 0) throw new Error('the log ended in the middle of a line');
  }
}

function streamOf(byte: number): LogStream | undefined {
  return ([undefined, 'stdout', 'stderr', 'error'] as const)[byte];
}
