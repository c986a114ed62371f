import { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { ApiError } from '@swarm/api';
import { expiresAt, type Subject, startsAt, subjectOf } from './subject.js';

/** Certificates are valid from a little before they are issued, because the hosts' clocks differ. */
export const BACKDATE_MS = 60 * 60 * 1000;

/** What certificates are checked against. */
export interface Trust {
  /** PEM of the cluster's root. */
  readonly rootCertificate: string;
  readonly clusterId: string;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** What a certificate proves: who its node is, never what it may do. */
export interface Proof {
  readonly subject: Subject;
  /** When the CA issued it, milliseconds since the epoch, in whole seconds. */
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

/** What to do when a node's certificate is no longer of use. */
export const REJOIN = 'run `docker swarm leave --force` on this node, then join it again';

/**
 * Identifies the peer by its certificate. With a socket, the handshake has proved that the peer holds the
 * key. `Authority` decides what the node may do.
 * @throws ApiError UNAUTHENTICATED without a certificate or with one of another cluster, CERTIFICATE_EXPIRED
 */
export function identify(peer: TLSSocket | X509Certificate | undefined, trust: Trust): Proof {
  const proof = prove(peer, trust);
  checkValidity(proof, trust.nowMs);
  return proof;
}

/**
 * Identifies the peer like `identify`, by a certificate of any time.
 * @throws ApiError UNAUTHENTICATED
 */
export function prove(
  peer: TLSSocket | X509Certificate | undefined,
  trust: Omit<Trust, 'nowMs'>,
): Proof {
  const certificate = peer instanceof TLSSocket ? peer.getPeerX509Certificate() : peer;
  if (certificate === undefined) {
    throw new ApiError(
      'UNAUTHENTICATED',
      'No certificate was presented: join the cluster first, with a token from `docker swarm join-token`.',
    );
  }
  const root = new X509Certificate(trust.rootCertificate);
  const subject = isIssuedBy(root, certificate) ? subjectOf(certificate) : undefined;
  if (subject?.clusterId !== trust.clusterId) {
    throw new ApiError(
      'UNAUTHENTICATED',
      `The certificate was not issued by this cluster; to move the node here, ${REJOIN}.`,
    );
  }
  return {
    subject,
    issuedAtMs: startsAt(certificate) + BACKDATE_MS,
    expiresAtMs: expiresAt(certificate),
  };
}

/** Anybody may present any certificate: one that cannot even be parsed is not ours. */
function isIssuedBy(root: X509Certificate, certificate: X509Certificate): boolean {
  try {
    return !certificate.ca && certificate.checkIssued(root) && certificate.verify(root.publicKey);
  } catch {
    return false;
  }
}

/** When a node's own certificate was issued and expires. @param certificate PEM */
export function certificateTime(certificate: string): Pick<Proof, 'issuedAtMs' | 'expiresAtMs'> {
  const parsed = new X509Certificate(certificate);
  return { issuedAtMs: startsAt(parsed) + BACKDATE_MS, expiresAtMs: expiresAt(parsed) };
}

/** Whether it is the certificate's time. */
export function isValidAt(
  { issuedAtMs, expiresAtMs }: Pick<Proof, 'issuedAtMs' | 'expiresAtMs'>,
  nowMs: number,
): boolean {
  return nowMs >= issuedAtMs - BACKDATE_MS && nowMs <= expiresAtMs;
}

/** @throws ApiError CERTIFICATE_EXPIRED, UNAUTHENTICATED before its validity begins */
export function checkValidity(proof: Proof, nowMs: number): void {
  if (isValidAt(proof, nowMs)) return;
  const { issuedAtMs, expiresAtMs } = proof;
  // To the minute, so that whoever logs a reason once does not log every second.
  const here = `${new Date(nowMs).toISOString().slice(0, 16)}Z`;
  if (nowMs > expiresAtMs) {
    const when = new Date(expiresAtMs).toISOString();
    throw new ApiError(
      'CERTIFICATE_EXPIRED',
      `The node's certificate expired at ${when}, and the clock of this manager says ${here}: if a clock is wrong, set it right; if the node has no new certificate within a minute, ${REJOIN}.`,
    );
  }
  const when = new Date(issuedAtMs - BACKDATE_MS).toISOString();
  throw new ApiError(
    'UNAUTHENTICATED',
    `The node's certificate is valid only from ${when}, and the clock of this manager says ${here}: set the clocks of both hosts right.`,
  );
}
