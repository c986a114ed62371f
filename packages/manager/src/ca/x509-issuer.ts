import { webcrypto } from 'node:crypto';
import {
  ALGORITHM,
  BACKDATE_MS,
  exportKey,
  importKey,
  loadX509,
  makeKeys,
  pem,
  readRequest,
  type Subject,
  subjectName,
} from '@swarm/identity';
import type { CaContext, CertificateIssuer, Issued, RootCA } from './certificate-issuer.js';

const COMMON_NAME = 'swarm-ca';
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;
const ROOT_LIFE_MS = 20 * YEAR_MS;
/** A root counts from well before it is made: by the clock of its founder, which may be ahead of all others. */
const ROOT_BACKDATE_MS = YEAR_MS;
const SERIAL_BYTES = 16;

/** A certificate's serial number: positive, 126 random bits, as hexadecimal (RFC 5280 4.1.2.2). */
export function serialNumber(randomBytes: (size: number) => Uint8Array): string {
  const bytes = Buffer.from(randomBytes(SERIAL_BYTES));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/** Makes a cluster's root: self-signed, ECDSA P-256, 20 years. */
export async function createRootCA(context: CaContext): Promise<RootCA> {
  const x509 = await loadX509();
  const keys = await makeKeys();
  const now = context.clock.now();
  const { KeyUsageFlags } = x509;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(context.randomBytes),
      name: [{ CN: [COMMON_NAME] }],
      notBefore: new Date(now - ROOT_BACKDATE_MS),
      notAfter: new Date(now + ROOT_LIFE_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        // Path length 0: the root signs nodes, never other authorities.
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate: pem(certificate.toString('pem')), key: await exportKey(keys.privateKey) };
}

/**
 * Signs a node's public key. The subject comes from the caller, never from the request.
 * @param publicKey DER, from `readRequest`
 */
export async function issueCertificate(
  context: CaContext,
  root: RootCA,
  publicKey: ArrayBuffer,
  subject: Subject,
  lifeMs: number,
): Promise<Issued> {
  const x509 = await loadX509();
  const authority = new x509.X509Certificate(root.certificate);
  const now = context.clock.now();
  // Certificates count whole seconds.
  const expiresAtMs = Math.floor((now + lifeMs) / 1000) * 1000;
  const { clientAuth, serverAuth } = x509.ExtendedKeyUsage;
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialNumber(context.randomBytes),
      subject: subjectName(subject),
      issuer: authority.subjectName,
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(expiresAtMs),
      signingAlgorithm: ALGORITHM,
      publicKey: new x509.PublicKey(publicKey),
      signingKey: await importKey(root.key),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        // A node dials managers, and is dialled once it is one.
        new x509.ExtendedKeyUsageExtension([clientAuth, serverAuth]),
        await x509.SubjectKeyIdentifierExtension.create(
          new x509.PublicKey(publicKey),
          false,
          webcrypto,
        ),
        await x509.AuthorityKeyIdentifierExtension.create(authority, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return { certificate: pem(certificate.toString('pem')), expiresAtMs };
}

/** Issues X.509 certificates with keys of this host's crypto library. */
export const x509Issuer: CertificateIssuer = {
  createRoot: createRootCA,
  readRequest,
  issue: issueCertificate,
};
