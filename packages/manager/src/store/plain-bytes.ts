/** Deepest nesting that is decoded: sharing and comparing parts go down as deep. */
const DEPTH_LIMIT = 1_000;
/** The one extension type that an older version could store: a time, MessagePack's type -1. */
const TIMESTAMP_TYPE = 0xff;

/**
 * Looks whether bytes are exactly one MessagePack value of plain data, before anything is made of them: a
 * decoder makes other things of extension types (errors, patterns, references that close a circle), which
 * nobody here expects. Numbers of 64 bits and times pass, although no shape has them: an older version let
 * them into the log.
 * Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 * @returns what is wrong; undefined when nothing is
 */
export function plainBytesProblem(bytes: Uint8Array): string | undefined {
  // Values still to come at each level above; a walk without recursion.
  const above: number[] = [];
  let due = 1;
  let at = 0;
  for (;;) {
    while (due === 0) {
      const next = above.pop();
      if (next === undefined) return at === bytes.length ? undefined : 'bytes follow the value';
      due = next;
    }
    due -= 1;
    if (at >= bytes.length) return CUT_OFF;
    const type = bytes[at]!;
    at += 1;
    if (type <= 0x7f || type >= 0xe0) continue;
    let inner = 0;
    if (type <= 0x8f) inner = 2 * (type & 0x0f);
    else if (type <= 0x9f) inner = type & 0x0f;
    else if (type <= 0xbf) at += type & 0x1f;
    else {
      const { value = 0, length = 0, holds, timestamp } = FORMATS[type - 0xc0]!;
      if (holds === 'nothing') return `type 0x${type.toString(16)} has no place here`;
      if (at + length > bytes.length) return CUT_OFF;
      const long = readLength(bytes, at, length);
      at += length;
      if (timestamp === true) {
        if (bytes[at] !== TIMESTAMP_TYPE) return `extension type ${bytes[at]} has no place here`;
        at += 1;
      }
      if (holds === 'values') inner = long * value;
      else at += holds === 'bytes' ? long + value : value;
    }
    if (at > bytes.length || inner > bytes.length - at) return CUT_OFF;
    if (inner === 0) continue;
    if (above.length >= DEPTH_LIMIT) return `nested deeper than ${DEPTH_LIMIT} levels`;
    above.push(due);
    due = inner;
  }
}

const CUT_OFF = 'it is cut off';

function readLength(bytes: Uint8Array, at: number, size: number): number {
  let length = 0;
  for (let i = at; i < at + size; i += 1) length = length * 256 + bytes[i]!;
  return length;
}

interface Format {
  /** Bytes of the length that comes first. */
  readonly length?: number;
  /** Bytes of the value; for lists and maps values for each of the length. */
  readonly value?: number;
  readonly holds: 'number' | 'bytes' | 'values' | 'nothing';
  /** An extension type. */
  readonly timestamp?: boolean;
}

/** The formats from 0xc0 on, in the specification's order. */
const FORMATS: readonly Format[] = [
  { holds: 'number' },
  { holds: 'nothing' },
  { holds: 'number' },
  { holds: 'number' },
  ...[1, 2, 4].map((length): Format => ({ length, holds: 'bytes' })),
  ...[1, 2, 4].map((length): Format => ({ length, holds: 'bytes', timestamp: true })),
  ...[4, 8, 1, 2, 4, 8, 1, 2, 4, 8].map((value): Format => ({ value, holds: 'number' })),
  ...[1, 2, 4, 8, 16].map((value): Format => ({ value, holds: 'number', timestamp: true })),
  ...[1, 2, 4].map((length): Format => ({ length, holds: 'bytes' })),
  ...[2, 4].map((length): Format => ({ length, value: 1, holds: 'values' })),
  ...[2, 4].map((length): Format => ({ length, value: 2, holds: 'values' })),
];
