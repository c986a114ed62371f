import { readU64, U64_BYTES, writeU64 } from '../codec/bytes.js';

/**
 * Keys of the database: one for the start of the log, one for the incarnation, one for each record.
 */

export const META_KEY = Uint8Array.of(0x6d);
export const INCARNATION_KEY = Uint8Array.of(0x69);

const RECORD_PREFIX = 0x77;
const RECORD_KEY_BYTES = 1 + U64_BYTES;

/** Sorts as the sequence does. */
export function recordKey(sequence: number): Uint8Array {
  const key = new Uint8Array(RECORD_KEY_BYTES);
  key[0] = RECORD_PREFIX;
  writeU64(key, 1, sequence);
  return key;
}

/** Above every record. */
export const RECORDS_END = Uint8Array.of(RECORD_PREFIX + 1);

/** @returns undefined when the key is not a record's */
export function sequenceOf(key: Uint8Array): number | undefined {
  if (key.length !== RECORD_KEY_BYTES || key[0] !== RECORD_PREFIX) return undefined;
  try {
    return readU64(key, 1);
  } catch {
    return undefined;
  }
}
