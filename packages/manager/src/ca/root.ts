import { X509Certificate } from 'node:crypto';
import type { TLSInfo } from '@swarm/api';
import { loadX509 } from '@swarm/identity';

/** The root as `docker info` and `node inspect` show it. */
export async function tlsInfo(rootCertificate: string): Promise<TLSInfo> {
  const x509 = await loadX509();
  const certificate = new x509.X509Certificate(rootCertificate);
  return {
    TrustRoot: rootCertificate,
    CertIssuerSubject: Buffer.from(certificate.subjectName.toArrayBuffer()).toString('base64'),
    CertIssuerPublicKey: Buffer.from(certificate.publicKey.rawData).toString('base64'),
  };
}

/** The DER bytes of a PEM certificate. Join tokens contain their digest. */
export function certificateDer(certificate: string): Uint8Array {
  return new X509Certificate(certificate).raw;
}
