/**
 * Encrypts what goes to disk. Both calls are synchronous; `open(seal(x))` is `x`.
 * Sealed bytes should authenticate themselves: a record holds its own sequence number inside, so a
 * sealed record can not be put in another's place. Changing keys is the cipher's affair: it marks
 * what it seals, and opens whatever it has the key for.
 */
export interface RecordCipher {
  seal(bytes: Uint8Array): Uint8Array;
  /** @throws when the key is wrong or the bytes are not what was sealed. */
  open(bytes: Uint8Array): Uint8Array;
}

/** Keeps records readable: what a store uses unless told otherwise. */
export const PLAIN: RecordCipher = {
  seal: (bytes) => bytes,
  open: (bytes) => bytes,
};
