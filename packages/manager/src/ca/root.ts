import { webcrypto, X509Certificate } from 'node:crypto';
import type { Clock, TLSInfo } from '@swarm/api';
import { ALGORITHM, BACKDATE_MS, exportKey, loadX509, makeKeys, pem } from '@swarm/identity';

const COMMON_NAME = 'swarm-ca';
const YEAR_MS = 365 * 24 * 60 * 60 * 1000;
const ROOT_LIFE_MS = 20 * YEAR_MS;
const SERIAL_BYTES = 16;

/** The cluster's certificate authority: what signs all node certificates. */
export interface RootCA {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. Managers only. */
  readonly key: string;
}

/** Where the CA takes time and chance from. Keys come from the crypto library itself. */
export interface CaContext {
  readonly clock: Pick<Clock, 'now'>;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** A certificate's serial number: positive, 127 random bits, as hexadecimal (RFC 5280 4.1.2.2). */
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
      notBefore: new Date(now - BACKDATE_MS),
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

/** What `docker info` and `node inspect` show of the root. */
export async function tlsInfo(rootCertificate: string): Promise<TLSInfo> {
  const x509 = await loadX509();
  const certificate = new x509.X509Certificate(rootCertificate);
  return {
    TrustRoot: rootCertificate,
    CertIssuerSubject: Buffer.from(certificate.subjectName.toArrayBuffer()).toString('base64'),
    CertIssuerPublicKey: Buffer.from(certificate.publicKey.rawData).toString('base64'),
  };
}

/** The DER bytes of a PEM certificate; what join tokens carry the digest of. */
export function certificateDer(certificate: string): Uint8Array {
  return new X509Certificate(certificate).raw;
}
