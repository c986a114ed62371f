import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Clock } from '@swarm/api';

/** How long a client may read nothing before its stream is cut: it holds one of a limited number. */
export const STALLED_LIMIT_MS = 15 * 60_000;
/** Bytes that are written at once. */
const BATCH_BYTES = 32 * 1024;

/** Writes many small pieces of a stream as few big ones, as fast as the client reads. */
export class ReplyBatch {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
  }

  /** Whether the client has not read what was written last. */
  get isBehind(): boolean {
    return this.#response.writableNeedDrain;
  }

  /** Resolves when there is room for more, or the client is gone or `ended`. */
  async write(part: Uint8Array, ended: AbortSignal): Promise<void> {
    this.put(part);
    if (this.#bytes >= BATCH_BYTES) this.flush();
    if (!this.isBehind || ended.aborted) return;
    const response = this.#response;
    const timer = this.#clock.setTimeout(() => response.destroy(), STALLED_LIMIT_MS);
    await once(response, 'drain', { signal: ended }).catch(() => {});
    this.#clock.clearTimeout(timer);
  }

  /** Writes without waiting, in this turn of the event loop at the latest. */
  put(part: Uint8Array): void {
    if (this.#parts.length === 0) this.#clock.setImmediate(() => this.flush());
    this.#parts.push(part);
    this.#bytes += part.byteLength;
  }

  flush(): void {
    if (this.#parts.length === 0) return;
    const whole = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    if (!this.#response.destroyed && !this.#response.writableEnded) this.#response.write(whole);
  }
}
