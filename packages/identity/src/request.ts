import { webcrypto } from 'node:crypto';
import { ApiError } from '@swarm/api';
import { ALGORITHM, exportKey, makeKeys, pem } from './key.js';
import { type Subject, UNITS } from './subject.js';
import { loadX509 } from './x509.js';

/** Longest certificate request accepted, in characters of PEM. Ours have about 500. */
export const REQUEST_LIMIT = 8 * 1024;

/** A new key and its certificate request. */
export interface KeyRequest {
  /** PEM, PKCS #8. Never leaves the node. */
  readonly key: string;
  /** PEM, PKCS #10. */
  readonly csr: string;
}

/**
 * Makes a node's key and its certificate request. The CA sets the subject of the certificate, so the one
 * given here is only a hint and a node that joins has none.
 */
export async function createKeyRequest(subject?: Subject): Promise<KeyRequest> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: subjectName(subject), keys, signingAlgorithm: ALGORITHM },
    webcrypto,
  );
  return { key: await exportKey(keys.privateKey), csr: pem(request.toString('pem')) };
}

/** The fields of a subject in the order of a certificate. */
export function subjectName(subject: Subject | undefined): Record<string, string[]>[] {
  if (subject === undefined) return [];
  return [{ CN: [subject.nodeId] }, { OU: [UNITS[subject.role]] }, { O: [subject.clusterId] }];
}

/**
 * Checks a request and reads its public key; nothing else in it counts.
 * @returns the public key, DER (SubjectPublicKeyInfo)
 * @throws ApiError INVALID_ARGUMENT when it cannot be read, the sender does not hold the key, or the key is
 *   not ECDSA P-256
 */
export async function readRequest(csr: string): Promise<ArrayBuffer> {
  const invalid = (why: string, cause?: unknown) =>
    new ApiError('INVALID_ARGUMENT', `The certificate request ("csr") ${why}.`, { cause });
  if (csr.length > REQUEST_LIMIT) throw invalid(`is longer than ${REQUEST_LIMIT} characters`);
  const x509 = await loadX509();
  try {
    const request = new x509.Pkcs10CertificateRequest(csr);
    const algorithm = request.publicKey.algorithm as { name?: string; namedCurve?: string };
    if (algorithm.name !== ALGORITHM.name || algorithm.namedCurve !== ALGORITHM.namedCurve) {
      throw invalid('is not for an ECDSA P-256 key');
    }
    if (!(await request.verify(webcrypto))) throw invalid('is not signed with its own key');
    return request.publicKey.rawData;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw invalid('cannot be read: it must be PKCS #10 in PEM', error);
  }
}
