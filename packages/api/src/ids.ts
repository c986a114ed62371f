/** Length of every object id: 128 random bits in base 36. */
export const ID_LENGTH = 25;

/**
 * A new object id: 25 characters of `0-9a-z`.
 * @param randomBytes source of randomness, for instance `crypto.randomBytes`
 */
export function newId(randomBytes: (size: number) => Uint8Array): string {
  return toBase36(randomBytes(16), ID_LENGTH);
}

/** Big-endian bytes as base 36, padded with zeros to `length`. */
export function toBase36(bytes: Uint8Array, length: number): string {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value.toString(36).padStart(length, '0');
}

/** A new id for a Raft member: 48 random bits, never 0, so that no id is used twice. */
export function newRaftId(randomBytes: (size: number) => Uint8Array): number {
  return randomBytes(6).reduce((id, byte) => id * 256 + byte, 0) || 1;
}
