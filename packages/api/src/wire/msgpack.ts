import { Packr } from 'msgpackr';

/** Bytes that are not MessagePack, or not the subset that we accept. */
export class MsgpackError extends Error {
  override readonly name = 'MsgpackError';
}

/** Limits on the memory that one frame may cost its reader. */
export interface MsgpackLimits {
  readonly bytes: number;
  /** All values, keys and nested ones included: even a short one takes memory. */
  readonly values: number;
  /** Lists and maps within each other. */
  readonly depth: number;
  /** Also accepts what older versions stored: 64-bit integers, and times (extension type -1). */
  readonly stored?: boolean;
}

/** Deepest nesting of any message: a part that is kept unread, within a spec, task, list and message. */
export const MSGPACK_DEPTH_LIMIT = 48;
/** Largest upper half of a 64-bit integer that a double holds exactly. */
const SAFE_UPPER_HALF = 0x1f_ffff;

/**
 * Packs values, and unpacks untrusted ones: null, booleans, numbers that a double holds, UTF-8 text, bytes,
 * lists, and maps whose keys are text. Before it builds anything, it refuses extension types (dates,
 * references, records, classes, sets), 64-bit integers beyond 2^53, frames that exceed a limit, and frames
 * that declare more than they hold.
 */
export class Msgpack {
  // Without records every frame is self-contained, and any library can read it.
  readonly #packr = new Packr({
    useRecords: false,
    encodeUndefinedAsNil: true,
    // A safe 64-bit integer becomes a number. The type declarations lack this value.
    ...({ int64AsType: 'auto' } as object),
  });

  pack(value: unknown): Buffer {
    // The packer reuses its buffer.
    return Buffer.from(this.#packr.pack(value));
  }

  /** Parts that are bytes are views of the frame. @throws MsgpackError */
  unpack(frame: Uint8Array, limits: MsgpackLimits): unknown {
    checkFrame(frame, limits);
    try {
      return this.#packr.unpack(frame);
    } catch (error) {
      throw new MsgpackError('cannot be read', { cause: error });
    }
  }
}

const Kind = { scalar: 0, text: 1, list: 2, map: 3, refused: 4 } as const;
type Kind = (typeof Kind)[keyof typeof Kind];

/**
 * What a first byte announces: the kind, the size of the length field, and the length when there is no such
 * field.
 */
interface Token {
  readonly kind: Kind;
  readonly lengthBytes: number;
  readonly length: number;
}

const TOKENS: readonly Token[] = Array.from({ length: 256 }, (_, byte) => tokenOf(byte));

/** First bytes, as in the MessagePack specification. */
function tokenOf(byte: number): Token {
  const token = (kind: Kind, lengthBytes = 0, length = 0): Token => ({ kind, lengthBytes, length });
  if (byte < 0x80 || byte >= 0xe0) return token(Kind.scalar);
  if (byte < 0x90) return token(Kind.map, 0, byte & 0x0f);
  if (byte < 0xa0) return token(Kind.list, 0, byte & 0x0f);
  if (byte < 0xc0) return token(Kind.text, 0, byte & 0x1f);
  switch (byte) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return token(Kind.scalar);
    case 0xc4: // bin 8, 16, 32
    case 0xc5:
    case 0xc6:
      return token(Kind.scalar, 1 << (byte - 0xc4));
    case 0xca: // float 32
    case 0xce: // uint 32
    case 0xd2: // int 32
      return token(Kind.scalar, 0, 4);
    case 0xcb: // float 64
    case 0xcf: // uint 64
    case 0xd3: // int 64
      return token(Kind.scalar, 0, 8);
    case 0xcc: // uint 8
    case 0xd0: // int 8
      return token(Kind.scalar, 0, 1);
    case 0xcd: // uint 16
    case 0xd1: // int 16
      return token(Kind.scalar, 0, 2);
    case 0xd9: // str 8, 16, 32
    case 0xda:
    case 0xdb:
      return token(Kind.text, 1 << (byte - 0xd9));
    case 0xdc: // array 16, 32
    case 0xdd:
      return token(Kind.list, 2 << (byte - 0xdc));
    case 0xde: // map 16, 32
    case 0xdf:
      return token(Kind.map, 2 << (byte - 0xde));
    default: // Extension types, and the byte that is never used.
      return token(Kind.refused);
  }
}

/** Walks over the frame without building anything. @throws MsgpackError */
export function checkFrame(frame: Uint8Array, limits: MsgpackLimits): void {
  const end = frame.byteLength;
  if (end > limits.bytes) throw new MsgpackError(`has more than ${limits.bytes} bytes`);
  /** Values still to come in each open list or map; in a map, an even count means that a key is next. */
  const left = [1];
  const isMap = [false];
  let depth = 0;
  let position = 0;
  let values = 0;
  for (;;) {
    while (left[depth] === 0) {
      if (depth === 0) {
        if (position !== end) throw new MsgpackError('goes on after its value');
        return;
      }
      depth -= 1;
    }
    if (position >= end) throw new MsgpackError('ends early');
    const byte = frame[position++]!;
    const token = TOKENS[byte]!;
    const { kind, lengthBytes } = token;
    const isKey = isMap[depth]! && (left[depth]! & 1) === 0;
    left[depth]! -= 1;
    values += 1;
    if (values > limits.values) throw new MsgpackError(`has more than ${limits.values} values`);
    if (kind === Kind.refused) {
      const time = limits.stored === true && !isKey ? timeBytes(frame, position - 1) : 0;
      if (time === 0) throw new MsgpackError(`has type 0x${byte.toString(16)}`);
      position += time - 1;
      if (position > end) throw new MsgpackError('ends early');
      continue;
    }
    if (isKey && kind !== Kind.text) throw new MsgpackError('has a key that is not text');
    let { length } = token;
    if (lengthBytes > 0) {
      if (position + lengthBytes > end) throw new MsgpackError('ends early');
      for (let index = 0; index < lengthBytes; index += 1)
        length = length * 256 + frame[position++]!;
    }
    if (kind === Kind.list || kind === Kind.map) {
      const inner = kind === Kind.map ? length * 2 : length;
      // Each takes at least a byte.
      if (inner > end - position) throw new MsgpackError('ends early');
      depth += 1;
      if (depth > limits.depth) throw new MsgpackError(`is deeper than ${limits.depth} levels`);
      left[depth] = inner;
      isMap[depth] = kind === Kind.map;
    } else {
      if (length > end - position) throw new MsgpackError('ends early');
      if ((byte === 0xcf || byte === 0xd3) && limits.stored !== true)
        checkInteger(frame, position, byte === 0xd3);
      position += length;
    }
  }
}

/**
 * Length in bytes of the time that begins here, in one of the three forms of the specification; 0 when it
 * is not a time.
 */
function timeBytes(frame: Uint8Array, at: number): number {
  const [type, first, second] = frame.subarray(at, at + 3);
  if (type === 0xd6 && first === 0xff) return 6;
  if (type === 0xd7 && first === 0xff) return 10;
  return type === 0xc7 && first === 12 && second === 0xff ? 15 : 0;
}

function checkInteger(frame: Uint8Array, position: number, hasSign: boolean): void {
  const view = new DataView(frame.buffer, frame.byteOffset + position, 8);
  const upper = hasSign ? view.getInt32(0) : view.getUint32(0);
  if (upper > SAFE_UPPER_HALF || upper < -SAFE_UPPER_HALF - 1) {
    throw new MsgpackError('has an integer beyond 2^53');
  }
}
