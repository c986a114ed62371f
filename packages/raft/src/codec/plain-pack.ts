/** What heads, hellos and descriptions are made of. */
export type Plain = number | string | boolean | null | readonly Plain[];

/** Bytes that hold anything else. */
export class PlainPackError extends Error {
  readonly code = 'RAFT_PLAIN_PACK';
}

/** Deepest nesting. A message with its snapshot's members needs five. */
const DEPTH_LIMIT = 8;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads one MessagePack value made of lists, strings, integers from 0 to 2^53-1, booleans and nil:
 * all that members send each other. Refuses maps, bytes, extension types, fractions, negative
 * numbers, and bytes after the value. Memory use is proportional to the bytes: a length is checked
 * against what is left before anything is allocated for it. Format:
 * https://github.com/msgpack/msgpack/blob/master/spec.md
 * @throws PlainPackError
 */
export function unpackPlain(bytes: Uint8Array): Plain {
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (reader.left > 0) throw new PlainPackError(`${reader.left} bytes after the value`);
  return value;
}

class Reader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private offset = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.offset;
  }

  value(depth: number): Plain {
    const type = this.number(1);
    if (type <= 0x7f) return type;
    if (type >= 0x90 && type <= 0x9f) return this.list(type & 0x0f, depth);
    if (type >= 0xa0 && type <= 0xbf) return this.text(type & 0x1f);
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xcb:
        return this.double();
      case 0xcc:
        return this.number(1);
      case 0xcd:
        return this.number(2);
      case 0xce:
        return this.number(4);
      case 0xcf:
        return this.long();
      case 0xd9:
        return this.text(this.number(1));
      case 0xda:
        return this.text(this.number(2));
      case 0xdb:
        return this.text(this.number(4));
      case 0xdc:
        return this.list(this.number(2), depth);
      case 0xdd:
        return this.list(this.number(4), depth);
      default:
        throw new PlainPackError(`type 0x${type.toString(16)} is not allowed here`);
    }
  }

  private list(length: number, depth: number): Plain[] {
    if (depth >= DEPTH_LIMIT) throw new PlainPackError(`nested deeper than ${DEPTH_LIMIT}`);
    this.need(length);
    const values: Plain[] = [];
    for (let i = 0; i < length; i++) values.push(this.value(depth + 1));
    return values;
  }

  private text(length: number): string {
    const bytes = this.take(length);
    try {
      return UTF8.decode(bytes);
    } catch (cause) {
      throw new PlainPackError('a string is not UTF-8', { cause });
    }
  }

  /** How the encoder writes integers above 32 bits. */
  private double(): number {
    return whole(this.view.getFloat64(this.skip(8)));
  }

  private long(): number {
    const at = this.skip(8);
    return whole(this.view.getUint32(at) * 0x1_0000_0000 + this.view.getUint32(at + 4));
  }

  private number(size: 1 | 2 | 4): number {
    const at = this.skip(size);
    if (size === 1) return this.bytes[at]!;
    return size === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  private take(length: number): Uint8Array {
    const at = this.skip(length);
    return this.bytes.subarray(at, at + length);
  }

  /** Skips this many bytes. @returns where they begin */
  private skip(length: number): number {
    this.need(length);
    this.offset += length;
    return this.offset - length;
  }

  private need(length: number): void {
    if (length > this.left) throw new PlainPackError('it is cut off');
  }
}

function whole(value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value === 0 ? 0 : value;
  throw new PlainPackError('a number is fractional, negative or above 2^53-1');
}
