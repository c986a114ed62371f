import { X509Certificate } from 'node:crypto';

/** The DER bytes of a PEM certificate. Join tokens contain their digest. */
export function certificateDer(certificate: string): Uint8Array {
  return new X509Certificate(certificate).raw;
}
