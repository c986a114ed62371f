import { type Clock, type ClusterSpec, MS } from '@swarm/api';
import type { Subject } from '@swarm/identity';

/** The cluster's certificate authority: what signs all node certificates. */
export interface RootCA {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. Managers only. */
  readonly key: string;
}

/** The CA's clock and source of serial numbers. Keys and signatures are the issuer's own. */
export interface CaContext {
  readonly clock: Pick<Clock, 'now'>;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** A node certificate as issued. */
export interface Issued {
  /** PEM. */
  readonly certificate: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

/**
 * Makes roots and signs certificates. Passed in, because keys and ECDSA signatures are random and the crypto
 * library works on threads of its own, so a simulation needs an issuer that it controls.
 */
export interface CertificateIssuer {
  /** Makes a cluster's root. */
  createRoot(context: CaContext): Promise<RootCA>;
  /**
   * Checks a certificate request and returns its public key, DER. Ignores everything else in it.
   * @throws ApiError INVALID_ARGUMENT
   */
  readRequest(csr: string): Promise<ArrayBuffer>;
  /**
   * Signs a node's public key. The subject comes from the caller, never from the request.
   * @param publicKey from `readRequest`
   */
  issue(
    context: CaContext,
    root: RootCA,
    publicKey: ArrayBuffer,
    subject: Subject,
    lifeMs: number,
  ): Promise<Issued>;
}

const HOUR_MS = 60 * 60 * 1000;
/** Life of node certificates unless the cluster says otherwise: 90 days. */
export const DEFAULT_NODE_LIFE_MS = 90 * 24 * HOUR_MS;
/** With a shorter life, nodes would renew all the time. */
export const MIN_NODE_LIFE_MS = HOUR_MS;

/** Life of the cluster's node certificates, in milliseconds. */
export function nodeLifeMs(spec: ClusterSpec): number {
  const wanted = spec.CAConfig.NodeCertExpiry;
  if (wanted === undefined || wanted === 0) return DEFAULT_NODE_LIFE_MS;
  return Math.max(MIN_NODE_LIFE_MS, wanted / MS);
}
