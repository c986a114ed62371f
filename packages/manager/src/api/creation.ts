import { createHash } from 'node:crypto';
import {
  ApiError,
  type Created,
  type Creation,
  IDEMPOTENCY_KEY_HEADER,
  IDEMPOTENCY_KEY_LIMIT,
  parseIdempotencyKey,
} from '@swarm/api';
import type { IncomingMessage } from 'node:http';

/** Bytes of a key that a manager makes for a request without one. */
const OWN_KEY_BYTES = 16;

/**
 * The key of a request that creates something; one made here when the client sent none, for our own attempts.
 * @throws ApiError BAD_REQUEST
 */
export function idempotencyKey(
  { headers }: IncomingMessage,
  randomBytes: (size: number) => Uint8Array,
): string {
  const header = headers[IDEMPOTENCY_KEY_HEADER.toLowerCase()];
  if (header === undefined) return Buffer.from(randomBytes(OWN_KEY_BYTES)).toString('hex');
  const key = typeof header === 'string' ? parseIdempotencyKey(header) : undefined;
  if (key !== undefined) return key;
  throw new ApiError(
    'BAD_REQUEST',
    `${IDEMPOTENCY_KEY_HEADER} must be 1 to ${IDEMPOTENCY_KEY_LIMIT} characters of printable ASCII, best in quotes: "…"`,
  );
}

/** What an object remembers of the request that made it. */
export function creationOf(key: string, body: Uint8Array): Creation {
  return { Key: key, Digest: createHash('sha256').update(body).digest('base64url') };
}

/**
 * The object that the same request made before.
 * @param made objects that requests with this key made
 * @throws ApiError IDEMPOTENCY_KEY_REUSED when another request has the key
 */
export function madeBefore<T extends Created & { readonly ID: string }>(
  made: Iterable<T>,
  { Key, Digest }: Creation,
): T | undefined {
  for (const object of made) {
    if (object.Creation?.Digest === Digest) return object;
    throw new ApiError(
      'IDEMPOTENCY_KEY_REUSED',
      `another request with this ${IDEMPOTENCY_KEY_HEADER} (${Key}) made ${object.ID}: use a new key for each new object`,
    );
  }
  return undefined;
}

/** Bytes that are the same for each attempt of a request. */
export function keyedBytes(key: string, attempt: number): (size: number) => Uint8Array {
  const digest = createHash('sha256').update(`${attempt} ${key}`).digest();
  return (size) => digest.subarray(0, size);
}
