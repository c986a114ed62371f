/** Header of a frame of Docker's multiplexed stream: stream, 3 zeros, length in 4 bytes big-endian. */
const FRAME_HEADER_BYTES = 8;
/** A frame holds one line; a longer one means that this is not such a stream. */
export const FRAME_MAX_BYTES = 16 * 1024 * 1024;

/** The stream of a frame: `error` is the daemon's own and ends the log. */
export type LogStream = 'stdout' | 'stderr' | 'error';

export interface LogFrame {
  readonly stream: LogStream;
  readonly data: Buffer;
}

/** The bytes of a reply are not what was asked for. */
export class NotALogError extends Error {}

/** Decodes the multiplexed stream, however its bytes arrive. */
export class LogFrames {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * Returns the frames that these bytes complete.
   * @throws NotALogError when the bytes are not a multiplexed stream
   */
  push(chunk: Uint8Array): LogFrame[] {
    this.#rest = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    const frames: LogFrame[] = [];
    while (this.#rest.length >= FRAME_HEADER_BYTES) {
      const stream = streamOf(this.#rest[0]!);
      const end = FRAME_HEADER_BYTES + this.#rest.readUInt32BE(4);
      if (stream === undefined || end > FRAME_MAX_BYTES) {
        throw new NotALogError('the daemon sent something that is not a log stream');
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
