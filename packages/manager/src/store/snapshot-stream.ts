import { KIND_CODES } from './kinds.js';
import { type Kind, TRANSACTION_BYTES_LIMIT } from './store.js';

/**
 * A snapshot as bytes: frames of a 4-byte big-endian length, a tag byte, and a body, cut into chunks
 * without regard to frames. First the header (format and log index), then one frame per object (tag: the
 * kind's code, body: its MessagePack), last the end (count of objects). Readers refuse a stream without its
 * end, which was cut off. The transport detects damage in transit.
 */
export const SNAPSHOT_FORMAT = 1;
/** Largest chunk, bytes. */
export const SNAPSHOT_CHUNK_BYTES = 256 * 1024;

const TAG_END = 0;
const TAG_HEADER = 255;
const LENGTH_BYTES = 4;
const NUMBER_BYTES = 8;
/** An object fits into a transaction, and what the store adds to it is small. */
const FRAME_LIMIT_BYTES = TRANSACTION_BYTES_LIMIT + 64 * 1024;

/** The snapshot cannot be used; what was there before it stays. */
export class SnapshotError extends Error {
  /** Raft's code for a snapshot that was refused and left the state as it was: the leader sends another. */
  readonly code = 'RAFT_SNAPSHOT_REFUSED';
}

export interface EncodedObject {
  readonly kind: Kind;
  /** MessagePack. */
  readonly value: Uint8Array;
}

/** Cuts a snapshot into chunks; holds one chunk and one object at a time. */
export async function* writeSnapshot(
  index: number,
  objects: AsyncIterable<EncodedObject>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let chunk = Buffer.allocUnsafe(SNAPSHOT_CHUNK_BYTES);
  let used = 0;
  function* push(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
    let from = 0;
    while (from < bytes.length) {
      const size = Math.min(bytes.length - from, chunk.length - used);
      chunk.set(bytes.subarray(from, from + size), used);
      from += size;
      used += size;
      if (used < chunk.length) continue;
      yield chunk;
      // The receiver owns the chunk now.
      chunk = Buffer.allocUnsafe(SNAPSHOT_CHUNK_BYTES);
      used = 0;
    }
  }
  yield* push(frame(TAG_HEADER, numbers(SNAPSHOT_FORMAT, index)));
  let count = 0;
  for await (const { kind, value } of objects) {
    yield* push(frameHead(KIND_CODES[kind], value.length));
    yield* push(value);
    count += 1;
  }
  yield* push(frame(TAG_END, numbers(count)));
  if (used > 0) yield chunk.subarray(0, used);
}

export interface SnapshotFrame {
  readonly tag: number;
  readonly body: Uint8Array;
}

/**
 * Reads a snapshot of `index`: gives the objects as kind codes and bodies, and ends only when the end
 * marker was seen and its count is right.
 * @throws SnapshotError
 */
export async function* readSnapshot(
  index: number,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<SnapshotFrame, void, undefined> {
  let state: 'header' | 'objects' | 'end' = 'header';
  let count = 0;
  for await (const { tag, body } of frames(chunks)) {
    if (state === 'end') throw new SnapshotError('the snapshot goes on after its end');
    if (state === 'header') {
      checkHeader(index, tag, body);
      state = 'objects';
    } else if (tag === TAG_END) {
      if (readNumber(body, 0) !== count)
        throw new SnapshotError(`the snapshot has ${count} objects, not as many as it says`);
      state = 'end';
    } else {
      count += 1;
      yield { tag, body };
    }
  }
  if (state !== 'end') throw new SnapshotError('the snapshot was cut off before its end');
}

function checkHeader(index: number, tag: number, body: Uint8Array): void {
  if (tag !== TAG_HEADER) throw new SnapshotError('this is not a snapshot of the state');
  if (readNumber(body, 0) !== SNAPSHOT_FORMAT) {
    throw new SnapshotError(
      `the snapshot has format ${readNumber(body, 0)}, this version reads ${SNAPSHOT_FORMAT}: upgrade this manager`,
    );
  }
  const of = readNumber(body, 1);
  if (of !== index) throw new SnapshotError(`the snapshot is of index ${of}, not ${index}`);
}

/** Whole frames, whatever the chunks are. Holds at most one frame and one chunk. */
async function* frames(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SnapshotFrame> {
  let parts: Uint8Array[] = [];
  let held = 0;
  let needed = LENGTH_BYTES;
  for await (const chunk of chunks) {
    parts.push(chunk);
    held += chunk.length;
    if (held < needed) continue;
    let bytes = Buffer.concat(parts, held);
    while (bytes.length >= LENGTH_BYTES) {
      const length = bytes.readUInt32BE(0);
      if (length < 1 || length > FRAME_LIMIT_BYTES)
        throw new SnapshotError(`the snapshot is damaged: a frame of ${length} bytes`);
      if (bytes.length < LENGTH_BYTES + length) break;
      const body = bytes.subarray(LENGTH_BYTES + 1, LENGTH_BYTES + length);
      yield { tag: bytes[LENGTH_BYTES] as number, body };
      bytes = bytes.subarray(LENGTH_BYTES + length);
    }
    needed = LENGTH_BYTES + (bytes.length >= LENGTH_BYTES ? bytes.readUInt32BE(0) : 0);
    parts = [bytes];
    held = bytes.length;
  }
  if (held > 0) throw new SnapshotError('the snapshot was cut off inside a frame');
}

function frameHead(tag: number, bodyLength: number): Uint8Array {
  const head = Buffer.allocUnsafe(LENGTH_BYTES + 1);
  head.writeUInt32BE(bodyLength + 1, 0);
  head[LENGTH_BYTES] = tag;
  return head;
}

function frame(tag: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([frameHead(tag, body.length), body]);
}

/** Doubles hold every log index exactly. */
function numbers(...values: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(values.length * NUMBER_BYTES);
  for (const [at, value] of values.entries()) bytes.writeDoubleBE(value, at * NUMBER_BYTES);
  return bytes;
}

function readNumber(bytes: Uint8Array, at: number): number {
  if (bytes.length < (at + 1) * NUMBER_BYTES) throw new SnapshotError('the snapshot is damaged');
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(at * NUMBER_BYTES);
}
