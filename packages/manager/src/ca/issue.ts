import { webcrypto } from 'node:crypto';
import { type ClusterSpec, MS } from '@swarm/api';
import {
  ALGORITHM,
  BACKDATE_MS,
  importKey,
  loadX509,
  pem,
  type Subject,
  subjectName,
} from '@swarm/identity';
import { type CaContext, type RootCA, serialNumber } from './root.js';

const HOUR_MS = 60 * 60 * 1000;
/** Life of node certificates unless the cluster says otherwise: 90 days. */
export const DEFAULT_NODE_LIFE_MS = 90 * 24 * HOUR_MS;
/** A shorter life would have nodes renew all the time. */
export const MIN_NODE_LIFE_MS = HOUR_MS;

/** How long the cluster's node certificates live, in milliseconds. */
export function nodeLifeMs(spec: ClusterSpec): number {
  const wanted = spec.CAConfig.NodeCertExpiry;
  if (wanted === undefined || wanted === 0) return DEFAULT_NODE_LIFE_MS;
  return Math.max(MIN_NODE_LIFE_MS, wanted / MS);
}

/** A node certificate as issued. */
export interface Issued {
  /** PEM. */
  readonly certificate: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/**
 * Signs a node's public key. The subject is the caller's, never the request's.
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
        // Every node is both: it dials managers, and managers are dialled.
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
