/** Bytes that stand in a message as they are. */
export class Raw {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/**
 * MessagePack as an attacker writes it: bigints, lone surrogates and pieces that are none pass. Written
 * here, because a library's encoder refuses or repairs what is wrong.
 */
export function packMessage(value: unknown): Buffer {
  const parts: Buffer[] = [];
  write(value, parts);
  return Buffer.concat(parts);
}

function write(value: unknown, parts: Buffer[]): void {
  if (value === undefined || value === null) parts.push(Buffer.from([0xc0]));
  else if (value instanceof Raw) parts.push(value.bytes);
  else if (typeof value === 'boolean') parts.push(Buffer.from([value ? 0xc3 : 0xc2]));
  else if (typeof value === 'number') parts.push(number(value));
  else if (typeof value === 'bigint') parts.push(bigint(value));
  else if (typeof value === 'string') text(value, parts);
  else if (value instanceof Uint8Array) {
    parts.push(head(0xc6, value.length), Buffer.from(value));
  } else if (Array.isArray(value)) {
    parts.push(value.length < 16 ? Buffer.from([0x90 | value.length]) : head(0xdd, value.length));
    for (const each of value) write(each, parts);
  } else {
    const entries = Object.entries(value as object);
    parts.push(
      entries.length < 16 ? Buffer.from([0x80 | entries.length]) : head(0xdf, entries.length),
    );
    for (const [key, each] of entries) {
      text(key, parts);
      write(each, parts);
    }
  }
}

function number(value: number): Buffer {
  if (Number.isInteger(value) && !Object.is(value, -0)) {
    if (value >= 0 && value < 128) return Buffer.from([value]);
    if (value >= -32 && value < 0) return Buffer.from([value & 0xff]);
    if (value >= 0 && value < 2 ** 32) return head(0xce, value);
  }
  const bytes = Buffer.alloc(9, 0xcb);
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function bigint(value: bigint): Buffer {
  const bytes = Buffer.alloc(9, value < 0n ? 0xd3 : 0xcf);
  if (value < 0n) bytes.writeBigInt64BE(value, 1);
  else bytes.writeBigUInt64BE(value, 1);
  return bytes;
}

function text(value: string, parts: Buffer[]): void {
  const bytes = encodeText(value);
  parts.push(
    bytes.length < 32 ? Buffer.from([0xa0 | bytes.length]) : head(0xdb, bytes.length),
    bytes,
  );
}

/** UTF-8, but a lone surrogate becomes its three bytes (which UTF-8 forbids) and no replacement character. */
function encodeText(value: string): Buffer {
  if (!/[\ud800-\udfff]/.test(value)) return Buffer.from(value);
  const parts: Buffer[] = [];
  for (const character of value) {
    const code = character.codePointAt(0)!;
    if (code < 0xd800 || code > 0xdfff) parts.push(Buffer.from(character));
    else parts.push(Buffer.from([0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]));
  }
  return Buffer.concat(parts);
}

/** A type byte and a length, or a number, of four bytes. */
function head(type: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(5);
  bytes[0] = type;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
