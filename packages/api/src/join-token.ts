import { createHash, timingSafeEqual } from 'node:crypto';
import { toBase36 } from './ids.js';

const PREFIX = 'SWMTKN';
const VERSION = '1';
/** SHA-256 in base 36. */
const DIGEST_LENGTH = 50;
/** 16 bytes in base 36. */
const SECRET_LENGTH = 25;
const SECRET_BYTES = 16;
const FORM = new RegExp(
  `^${PREFIX}-${VERSION}-([0-9a-z]{${DIGEST_LENGTH}})-([0-9a-z]{${SECRET_LENGTH}})$`,
);

/** The parts of `SWMTKN-1-<digest>-<secret>`. */
export interface JoinToken {
  /** Digest of the cluster's root certificate: tells a joining node that it talks to the right cluster. */
  readonly digest: string;
  /** Decides which role the joining node gets. */
  readonly secret: string;
}

/** The digest part of a join token: SHA-256 of the root certificate's DER in base 36. */
export function rootDigest(rootCertificateDer: Uint8Array): string {
  return toBase36(createHash('sha256').update(rootCertificateDer).digest(), DIGEST_LENGTH);
}

/** A new join token for the cluster whose root certificate is given, with a fresh secret. */
export function makeJoinToken(
  rootCertificateDer: Uint8Array,
  randomBytes: (size: number) => Uint8Array,
): string {
  const secret = toBase36(randomBytes(SECRET_BYTES), SECRET_LENGTH);
  return `${PREFIX}-${VERSION}-${rootDigest(rootCertificateDer)}-${secret}`;
}

/** The parts of a join token; undefined when the text is not one. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const match = FORM.exec(text);
  if (match === null) return undefined;
  return { digest: match[1]!, secret: match[2]! };
}

/** Whether two tokens, or parts of tokens, are equal. The time taken does not depend on where they differ. */
export function sameToken(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
