/** Bytes to put into a message unchanged. */
export class Raw {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/**
 * Encodes MessagePack as an attacker would, with bigints, lone surrogates and invalid pieces. Our own
 * encoder, because a library's refuses or repairs what is wrong.
 */
export function packMessage(value: unknown): Buffer {
  const writer = new MsgpackWriter();
  writer.write(value);
  return writer.bytes;
}

const FIRST_BYTES = 1024;
const HEAD_BYTES = 9;
/** Most bytes of UTF-8 for one UTF-16 unit. */
const UNIT_BYTES = 3;

class MsgpackWriter {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #at = 0;

  /** The bytes written so far. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }

  write(value: unknown): void {
    if (value === undefined || value === null) this.#byte(0xc0);
    else if (value instanceof Raw) this.#copy(value.bytes);
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else if (typeof value === 'number') this.#number(value);
    else if (typeof value === 'bigint') this.#bigint(value);
    else if (typeof value === 'string') this.#text(value);
    else if (value instanceof Uint8Array) {
      this.#head(0xc6, value.length);
      this.#copy(value);
    } else if (Array.isArray(value)) {
      if (value.length < 16) this.#byte(0x90 | value.length);
      else this.#head(0xdd, value.length);
      for (const each of value) this.write(each);
    } else {
      const entries = Object.entries(value);
      if (entries.length < 16) this.#byte(0x80 | entries.length);
      else this.#head(0xdf, entries.length);
      for (const [key, each] of entries) {
        this.#text(key);
        this.write(each);
      }
    }
  }

  #number(value: number): void {
    if (Number.isInteger(value) && !Object.is(value, -0)) {
      if (value >= -32 && value < 128) {
        this.#byte(value & 0xff);
        return;
      }
      if (value >= 0 && value < 2 ** 32) {
        this.#head(0xce, value);
        return;
      }
    }
    this.#byte(0xcb);
    this.#at = this.#bytes.writeDoubleBE(value, this.#at);
  }

  #bigint(value: bigint): void {
    this.#byte(value < 0n ? 0xd3 : 0xcf);
    this.#at = this.#bytes.writeBigUInt64BE(BigInt.asUintN(64, value), this.#at);
  }

  #text(value: string): void {
    if (SURROGATE.test(value)) {
      const bytes = encodeText(value);
      this.#head(0xdb, bytes.length);
      this.#copy(bytes);
      return;
    }
    const length = Buffer.byteLength(value);
    if (length < 32) this.#byte(0xa0 | length);
    else this.#head(0xdb, length);
    this.#room(value.length * UNIT_BYTES);
    this.#at += this.#bytes.write(value, this.#at);
  }

  /** A type byte and a length, or a number, of four bytes. */
  #head(type: number, length: number): void {
    this.#byte(type);
    this.#at = this.#bytes.writeUInt32BE(length, this.#at);
  }

  #byte(value: number): void {
    this.#room(HEAD_BYTES);
    this.#bytes[this.#at++] = value;
  }

  #copy(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * this.#bytes.length + bytes);
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

const SURROGATE = /[\ud800-\udfff]/;

/**
 * UTF-8, except that a lone surrogate becomes its three bytes, which UTF-8 forbids, and not a replacement
 * character.
 */
function encodeText(value: string): Buffer {
  const parts: Buffer[] = [];
  for (const character of value) {
    const code = character.codePointAt(0)!;
    if (code < 0xd800 || code > 0xdfff) parts.push(Buffer.from(character));
    else parts.push(Buffer.from([0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]));
  }
  return Buffer.concat(parts);
}
