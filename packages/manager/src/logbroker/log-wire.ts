import {
  ApiError,
  type Clock,
  ERRORS,
  type ErrorCode,
  type LogOptions,
  shape,
  ShapeError,
} from '@swarm/api';
import { logLineShape, logPosition, Msgpack, MsgpackError } from '@swarm/api/wire';
import { ITEM_FRAME_LIMIT_BYTES, SILENCE_LIMIT_MS } from './limits.js';
import type { LogItem, LogNotice, LogRequest, PiecePlace, TaskPlace } from './log-item.js';
import type { LogSelector } from './selector.js';

/** Where a manager asks the leader for logs. The reply is a stream of frames: length in 4 bytes, item. */
export const LEADER_LOGS_PATH = '/x/logs';

const { count, flag, integer, list, literal, objectId, optional, record, text, timestamp } = shape;

/** Most characters of a notice, a warning or an error. */
const MESSAGE_LIMIT = 32 * 1024;

/** What the leader sends to another manager: items, a sign of life, and how the stream ended. */
export type LogFrame =
  | LogItem
  | { readonly type: 'alive' }
  | { readonly type: 'end' }
  | { readonly type: 'error'; readonly code: ErrorCode; readonly message: string };

const errorCodes = Object.fromEntries(Object.keys(ERRORS).map((code) => [code, true]));

const frameShape = shape.variants<LogFrame>({
  line: record({ type: literal('line'), nodeId: objectId, line: logLineShape }),
  notice: record<LogNotice>({
    type: literal('notice'),
    message: text(MESSAGE_LIMIT),
    taskId: optional(objectId),
  }),
  warning: record({ type: literal('warning'), message: text(MESSAGE_LIMIT) }),
  open: record({ type: literal('open') }),
  alive: record({ type: literal('alive') }),
  end: record({ type: literal('end') }),
  error: record({
    type: literal('error'),
    code: shape.choice<ErrorCode>(errorCodes as Record<ErrorCode, true>),
    message: text(MESSAGE_LIMIT),
  }),
});

const place = record<PiecePlace>({ timestamp, pieces: count, position: optional(logPosition) });
const ids = optional(list(objectId, 1_000));

/** The body of a request to the leader. */
const requestShape = record<LogRequest>({
  selector: record<LogSelector>({ serviceIds: ids, taskIds: ids, nodeIds: ids }),
  options: record<LogOptions>({
    follow: flag,
    stdout: flag,
    stderr: flag,
    tail: integer(-1),
    since: optional(timestamp),
  }),
  resume: optional(
    list(
      record<TaskPlace>({ taskId: objectId, stdout: optional(place), stderr: optional(place) }),
      100_000,
    ),
  ),
});

/** @throws ApiError BAD_REQUEST */
export function readLogRequest(value: unknown): LogRequest {
  try {
    return requestShape.read(value);
  } catch (error) {
    if (error instanceof ShapeError) throw new ApiError('BAD_REQUEST', error.message);
    throw error;
  }
}

const msgpack = new Msgpack();

/** One frame, with its length. */
export function writeLogFrame(item: LogFrame): Buffer {
  const packed = msgpack.pack(item);
  const head = Buffer.allocUnsafe(4);
  head.writeUInt32BE(packed.byteLength);
  return Buffer.concat([head, packed]);
}

/** Takes frames apart, however their bytes arrive. */
export class LogFrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** @throws Error when these are no frames */
  push(chunk: Buffer): LogFrame[] {
    this.#rest = this.#rest.byteLength === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: LogFrame[] = [];
    while (this.#rest.byteLength >= 4) {
      const end = 4 + this.#rest.readUInt32BE(0);
      if (end > 4 + ITEM_FRAME_LIMIT_BYTES) throw new Error('a frame of the leader is too long');
      if (this.#rest.byteLength < end) break;
      frames.push(readFrame(this.#rest.subarray(4, end)));
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}

function readFrame(frame: Buffer): LogFrame {
  try {
    return frameShape.read(
      msgpack.unpack(frame, { bytes: ITEM_FRAME_LIMIT_BYTES, values: 64, depth: 8 }),
    );
  } catch (error) {
    if (error instanceof MsgpackError || error instanceof ShapeError)
      throw new Error(`the leader sent no item of a log: ${error.message}`, { cause: error });
    throw error;
  }
}

/** The reply of a leader: bytes that end or break off. */
export type ReplyBody = AsyncIterable<Buffer> & { destroy(error?: Error): unknown };

/**
 * The items of a leader's reply. Tells that they begin with an `open`.
 * @throws ApiError TIMEOUT when the leader is gone or silent; whatever the leader reports
 */
export async function* leaderLogs(body: ReplyBody, clock: Clock): AsyncGenerator<LogItem> {
  const frames = new LogFrameReader();
  const chunks = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      // While its own reader is slow, this waits for nothing: only a leader that owes something is silent.
      const timer = clock.setTimeout(
        () => body.destroy(new Error(`no sign of life for ${SILENCE_LIMIT_MS} ms`)),
        SILENCE_LIMIT_MS,
      );
      let next: IteratorResult<Buffer>;
      try {
        next = await chunks.next();
      } finally {
        clock.clearTimeout(timer);
      }
      if (next.done === true) throw new Error('it ended early');
      for (const frame of frames.push(next.value)) {
        if (frame.type === 'end') return;
        if (frame.type === 'error') throw new ApiError(frame.code, frame.message);
        if (frame.type !== 'alive') yield frame;
      }
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError('TIMEOUT', `the leader's log broke off: ${(error as Error).message}`, {
      cause: error,
    });
  } finally {
    body.destroy();
  }
}
