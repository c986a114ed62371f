/**
 * Header of a request that creates an object: whoever sends the same request again with the same key gets the
 * answer of the first (draft-ietf-httpapi-idempotency-key-header).
 */
export const IDEMPOTENCY_KEY_HEADER = 'Idempotency-Key';
/** Longest key, characters. */
export const IDEMPOTENCY_KEY_LIMIT = 128;

/** A string of RFC 9651 (section 3.3.3), as the draft wants it. */
const QUOTED = /^"((?:[ !#-[\]-~]|\\["\\])*)"$/;
/** What most clients send. No comma: Node.js joins repeated headers with one. */
const BARE = /^[!#-+\--~]+$/;
const KEY = new RegExp(`^[ -~]{1,${IDEMPOTENCY_KEY_LIMIT}}$`);

/** Whether a text may be a key: printable ASCII, not too long. */
export function isIdempotencyKey(value: unknown): value is string {
  return typeof value === 'string' && KEY.test(value);
}

/** The key in the header's value, with or without quotes; undefined when it is not one. */
export function parseIdempotencyKey(header: string): string | undefined {
  const text = header.trim();
  const quoted = QUOTED.exec(text)?.[1]?.replace(/\\(.)/g, '$1');
  const key = quoted ?? (BARE.test(text) ? text : undefined);
  return isIdempotencyKey(key) ? key : undefined;
}

/** The header's value for a key. */
export function formatIdempotencyKey(key: string): string {
  return `"${key.replace(/["\\]/g, '\\$&')}"`;
}
