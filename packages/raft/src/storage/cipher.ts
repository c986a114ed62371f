/**
 * Encrypts what goes to disk. Both calls are synchronous; `open(seal(x))` is `x`. Sealed bytes
 * should authenticate themselves: a record holds its own sequence number inside, so a sealed record
 * cannot be put in another's place. Key rotation is up to the cipher: it marks what it seals, and
 * opens everything it has the key for.
 */
export interface RecordCipher {
  seal(bytes: Uint8Array): Uint8Array;
  /** @throws when the key is wrong or the bytes are not what was sealed */
  open(bytes: Uint8Array): Uint8Array;
}

/** Leaves records readable: the default of a store. */
export const PLAIN: RecordCipher = {
  seal: (bytes) => bytes,
  open: (bytes) => bytes,
};
