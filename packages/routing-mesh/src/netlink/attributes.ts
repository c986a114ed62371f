/**
 * Attributes of netlink messages: length, type and value, each padded to four bytes (linux/netlink.h). Numbers are in
 * the byte order of the machine, which is little-endian on every machine that this program runs on.
 */

const HEADER_BYTES = 4;
const ALIGN_BYTES = 4;
/** The type of an attribute that holds others has this bit. */
const NESTED = 0x8000;
/** The bits of a type that are not flags. */
const TYPE_MASK = 0x3fff;
/** The length is a number of 16 bits. */
const LENGTH_LIMIT = 0xffff;

/** An attribute as it was received. */
export interface Attribute {
  readonly type: number;
  readonly value: Buffer;
}

/** @throws RangeError when the value is too long for an attribute */
export function attribute(type: number, value: Uint8Array): Buffer {
  const length = HEADER_BYTES + value.length;
  if (length > LENGTH_LIMIT) throw new RangeError(`netlink: attribute ${type} has ${length} bytes`);
  const result = Buffer.alloc(aligned(length));
  result.writeUInt16LE(length, 0);
  result.writeUInt16LE(type, 2);
  result.set(value, HEADER_BYTES);
  return result;
}

export function u8(type: number, value: number): Buffer {
  return attribute(type, Buffer.of(value));
}

export function u16(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return attribute(type, bytes);
}

export function u32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return attribute(type, bytes);
}

/** A text with the zero at its end. */
export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

export function nested(type: number, attributes: readonly Uint8Array[]): Buffer {
  return attribute(type | NESTED, Buffer.concat(attributes));
}

/** @throws RangeError when the bytes are not attributes */
export function readAttributes(data: Buffer): Attribute[] {
  const found: Attribute[] = [];
  for (let at = 0; at + HEADER_BYTES <= data.length; ) {
    const length = data.readUInt16LE(at);
    if (length < HEADER_BYTES || at + length > data.length) {
      throw new RangeError(`netlink: an attribute claims ${length} bytes`);
    }
    const type = data.readUInt16LE(at + 2) & TYPE_MASK;
    found.push({ type, value: data.subarray(at + HEADER_BYTES, at + length) });
    at += aligned(length);
  }
  return found;
}

/** The value of the first attribute of this type. */
export function attributeValue(attributes: readonly Attribute[], type: number): Buffer | undefined {
  return attributes.find((one) => one.type === type)?.value;
}

export function aligned(length: number): number {
  return Math.ceil(length / ALIGN_BYTES) * ALIGN_BYTES;
}
