import { webcrypto } from 'node:crypto';
import { ApiError } from '@swarm/api';

/** ECDSA P-256 with SHA-256, for the root and for nodes (RFC 5480, RFC 5758). */
export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A new key pair that can be exported. */
export function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

/** PEM, PKCS #8, not encrypted. */
export async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  const lines = der.match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`;
}

/**
 * Reads a private key that `exportKey` wrote.
 * @throws ApiError INTERNAL when it is damaged or of another kind
 */
export async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const body = /-----BEGIN PRIVATE KEY-----([^-]+)-----END PRIVATE KEY-----/.exec(pem)?.[1];
  try {
    const der = Buffer.from(body ?? '', 'base64');
    return await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
  } catch (error) {
    const message = 'The private key cannot be read: it is not a P-256 key in PKCS #8 PEM.';
    throw new ApiError('INTERNAL', message, { cause: error });
  }
}

/** Ends PEM with one newline, as other tools do. */
export function pem(text: string): string {
  return text.trimEnd() + '\n';
}
