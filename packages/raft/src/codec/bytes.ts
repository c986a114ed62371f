/**
 * Big-endian numbers in byte arrays. Uses plain arithmetic, because a BigInt costs thirty times as
 * much.
 */

const TWO_32 = 0x1_0000_0000;

/** Bytes of a number written by `writeU64`. */
export const U64_BYTES = 8;
export const U32_BYTES = 4;

/** @param value an integer, 0 to 2^53-1 */
export function writeU64(target: Uint8Array, offset: number, value: number): void {
  writeU32(target, offset, Math.floor(value / TWO_32));
  writeU32(target, offset + U32_BYTES, value % TWO_32);
}

/** @throws RangeError when the number is above 2^53-1, which our encoder never writes */
export function readU64(source: Uint8Array, offset: number): number {
  const value = readU32(source, offset) * TWO_32 + readU32(source, offset + U32_BYTES);
  if (!Number.isSafeInteger(value)) throw new RangeError(`number at byte ${offset} is too large`);
  return value;
}

/** @param value an integer, 0 to 2^32-1 */
export function writeU32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
}

/** @throws RangeError when the bytes end before the number does */
export function readU32(source: Uint8Array, offset: number): number {
  if (offset + U32_BYTES > source.length) throw new RangeError(`bytes end at ${source.length}`);
  return (
    ((source[offset]! << 24) |
      (source[offset + 1]! << 16) |
      (source[offset + 2]! << 8) |
      source[offset + 3]!) >>>
    0
  );
}
