import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type Clock } from '@swarm/api';
import type { BodyLimits } from './limits.js';
import { errorReply } from './reply.js';

/**
 * Reads bodies, and counts the bytes of all that are being read, so that many clients cannot fill the memory.
 */
export class BodyReader {
  readonly #clock: Clock;
  readonly #limits: BodyLimits;
  /** A request that is forwarded may be answered here after all. */
  readonly #read = new WeakMap<IncomingMessage, Buffer>();
  #bytes = 0;

  constructor(clock: Clock, limits: BodyLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Whether the head already announces a body that `read` refuses. */
  isTooLong({ headers }: Pick<IncomingMessage, 'headers'>): boolean {
    return Number(headers['content-length'] ?? 0) > this.#limits.bodyBytes;
  }

  /**
   * Reads the whole body; returns the same again for a request that was read.
   * @throws ApiError TOO_LARGE, OVERLOADED; BAD_REQUEST when it stops short or comes too slowly
   */
  async read(request: IncomingMessage): Promise<Buffer> {
    const known = this.#read.get(request);
    if (known !== undefined) return known;
    const { bodyBytes, bodyMs } = this.#limits;
    if (this.isTooLong(request)) throw this.#tooLarge();
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = this.#clock.setTimeout(() => {
          settle(
            new ApiError(
              'BAD_REQUEST',
              `the body did not arrive within ${bodyMs / 1000} s; send the request again`,
            ),
          );
        }, bodyMs);
        const onData = (chunk: Buffer): void => {
          size += chunk.byteLength;
          this.#bytes += chunk.byteLength;
          if (size > bodyBytes) settle(this.#tooLarge());
          else if (this.#bytes > this.#limits.bodiesBytes) {
            settle(new ApiError('OVERLOADED', 'too many requests are being read; try again'));
          } else chunks.push(chunk);
        };
        const onEnd = (): void => settle();
        const onClose = (): void =>
          settle(new ApiError('BAD_REQUEST', 'the connection ended before the body was complete'));
        const settle = (error?: Error): void => {
          this.#clock.clearTimeout(timer);
          request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
          request.pause();
          if (error === undefined) resolve();
          else reject(error);
        };
        request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
      });
    } finally {
      this.#bytes -= size;
    }
    const body = Buffer.concat(chunks, size);
    this.#read.set(request, body);
    return body;
  }

  /** The body of a request that was read; undefined when it was not. */
  known(request: IncomingMessage): Buffer | undefined {
    return this.#read.get(request);
  }

  /** Reads the body as JSON; undefined when it is empty. @throws ApiError as `read`, BAD_REQUEST */
  async readJson(request: IncomingMessage): Promise<unknown> {
    return parseJson(await this.read(request));
  }

  /**
   * Answers with an error while the client may still be sending. Sends the answer at once, then reads and
   * drops the rest of the body for a while, because a client whose connection is reset while it writes never
   * reads the answer.
   */
  refuse(request: IncomingMessage, response: ServerResponse, error: ApiError): void {
    const { headers, body } = errorReply(error);
    response.writeHead(error.status, { ...headers, Connection: 'close' });
    if (request.complete || request.destroyed) {
      response.end(body);
      return;
    }
    response.write(body);
    let dropped = 0;
    const finish = (): void => {
      this.#clock.clearTimeout(timer);
      request.off('data', onData).off('end', finish).off('close', finish);
      response.end();
    };
    const onData = (chunk: Buffer): void => {
      dropped += chunk.byteLength;
      if (dropped > this.#limits.discardBytes) finish();
    };
    const timer = this.#clock.setTimeout(finish, this.#limits.discardMs);
    request.on('data', onData).on('end', finish).on('close', finish).resume();
  }

  #tooLarge(): ApiError {
    const kibibytes = this.#limits.bodyBytes / 1024;
    const size = kibibytes < 1024 ? `${kibibytes} KiB` : `${kibibytes / 1024} MiB`;
    return new ApiError('TOO_LARGE', `the body is larger than ${size}, the most this takes`);
  }
}

/** @throws ApiError BAD_REQUEST, saying where it is malformed */
export function parseJson(body: Buffer): unknown {
  if (body.byteLength === 0) return undefined;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new ApiError('BAD_REQUEST', 'malformed JSON body: it is not UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    const place = /at position (\d+)/.exec(message)?.[1];
    throw new ApiError(
      'BAD_REQUEST',
      place === undefined
        ? `malformed JSON body: ${message} at position ${text.length}`
        : `malformed JSON body: ${message}${lineOf(text, Number(place), message)}`,
    );
  }
}

/** Node.js 22 includes the line in its message. */
function lineOf(text: string, position: number, message: string): string {
  if (message.includes('line ')) return '';
  const before = text.slice(0, position).split('\n');
  return ` (line ${before.length} column ${before.at(-1)!.length + 1})`;
}
