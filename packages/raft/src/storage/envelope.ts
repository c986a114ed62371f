import { crc32 } from 'node:zlib';
import { readU32, U32_BYTES, writeU32 } from '../codec/bytes.js';
import { PLAIN, type RecordCipher } from './cipher.js';

/**
 * The wrapper of every value in the database: version, sealed body, CRC-32 of both. The checksum
 * covers the sealed bytes, which tells a damaged value from a wrong key.
 */

/** Raised when the layout of any value changes. Readers refuse versions they do not know. */
export const FORMAT_VERSION = 1;

const VERSION_BYTES = 1;
const OVERHEAD_BYTES = VERSION_BYTES + U32_BYTES;

/** The value is not what was written. */
export class RecordDamagedError extends Error {
  readonly code = 'RAFT_RECORD_DAMAGED';
}

/** The value is what was written, but this program or this key cannot read it. */
export class RecordUnreadableError extends Error {
  readonly code = 'RAFT_RECORD_UNREADABLE';
}

export function wrap(body: Uint8Array, cipher: RecordCipher): Uint8Array {
  const sealed = cipher.seal(body);
  const value = Buffer.allocUnsafe(OVERHEAD_BYTES + sealed.length);
  value.set(sealed, VERSION_BYTES);
  return finish(value);
}

/**
 * As `wrap`, for a body that `fill` writes. Without encryption, `fill` writes straight into place,
 * because a record of many entries is large.
 */
export function wrapFilled(
  bodyBytes: number,
  fill: (body: Uint8Array) => void,
  cipher: RecordCipher,
): Uint8Array {
  // Small values share Node's pool: a buffer for each costs more than filling it.
  const value = Buffer.allocUnsafe(OVERHEAD_BYTES + bodyBytes);
  const body = value.subarray(VERSION_BYTES, VERSION_BYTES + bodyBytes);
  fill(body);
  return cipher === PLAIN ? finish(value) : wrap(body, cipher);
}

/** Writes version and checksum around the sealed bytes. */
function finish(value: Buffer): Uint8Array {
  value[0] = FORMAT_VERSION;
  const end = value.length - U32_BYTES;
  writeU32(value, end, crc32(value.subarray(0, end)));
  return value;
}

/** @throws RecordDamagedError, RecordUnreadableError */
export function unwrap(value: Uint8Array, cipher: RecordCipher): Uint8Array {
  if (value.length < OVERHEAD_BYTES) {
    throw new RecordDamagedError(`${value.length} bytes are too few for a record`);
  }
  const end = value.length - U32_BYTES;
  if (crc32(value.subarray(0, end)) !== readU32(value, end)) {
    throw new RecordDamagedError('the checksum does not match');
  }
  if (value[0] !== FORMAT_VERSION) {
    throw new RecordUnreadableError(
      `the format version is ${value[0]}, this program reads ${FORMAT_VERSION}: ` +
        'start the version of the program that wrote it, or a newer one',
    );
  }
  try {
    return cipher.open(value.subarray(VERSION_BYTES, end));
  } catch (cause) {
    throw new RecordUnreadableError('it cannot be decrypted: is the key the right one?', {
      cause,
    });
  }
}
