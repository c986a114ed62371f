import { X509Certificate } from 'node:crypto';
import { TLSSocket } from 'node:tls';
import { ApiError, type NodeRole } from '@swarm/api';
import { expiresAt, type Subject, startsAt, subjectOf } from './subject.js';

/** What a certificate is checked against. */
export interface Trust {
  /** PEM of the cluster's root. */
  readonly rootCertificate: string;
  readonly clusterId: string;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** Whether the node was removed from the cluster: Cluster.Private.RemovedNodes. */
  readonly isRemoved?: (nodeId: string) => boolean;
}

/** What to do when a node's certificate is of no use any more. */
export const REJOIN = 'run `swarm leave --force` on this node, then join it again';

/**
 * Who is at the other end, by its certificate and by nothing else. With a socket the handshake has
 * proved that the peer holds the key.
 * @param role refuse others: `manager` for what only managers may do
 * @throws ApiError UNAUTHENTICATED without a certificate or with one of another cluster,
 *   CERTIFICATE_EXPIRED, PERMISSION_DENIED for a removed node or another role
 */
export function identify(
  peer: TLSSocket | X509Certificate | undefined,
  trust: Trust,
  role?: NodeRole,
): Subject {
  const certificate = peer instanceof TLSSocket ? peer.getPeerX509Certificate() : peer;
  if (certificate === undefined) {
    throw new ApiError(
      'UNAUTHENTICATED',
      'No certificate was presented: join the cluster first, with a token from `swarm join-token`.',
    );
  }
  const subject = subjectOf(certificate);
  const root = new X509Certificate(trust.rootCertificate);
  const issued = !certificate.ca && certificate.checkIssued(root);
  if (!issued || !certificate.verify(root.publicKey) || subject?.clusterId !== trust.clusterId) {
    throw new ApiError(
      'UNAUTHENTICATED',
      `The certificate was not issued by this cluster; to move the node here, ${REJOIN}.`,
    );
  }
  if (trust.isRemoved?.(subject.nodeId) === true) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `Node ${subject.nodeId} was removed from the cluster; to use it again, ${REJOIN}.`,
    );
  }
  checkValidity(certificate, trust.nowMs);
  if (role !== undefined && subject.role !== role) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `This needs a ${role}'s certificate; node ${subject.nodeId} is a ${subject.role}.`,
    );
  }
  return subject;
}

function checkValidity(certificate: X509Certificate, nowMs: number): void {
  const end = expiresAt(certificate);
  if (nowMs > end) {
    const when = new Date(end).toISOString();
    throw new ApiError(
      'CERTIFICATE_EXPIRED',
      `The node's certificate expired at ${when}: ${REJOIN}.`,
    );
  }
  const start = startsAt(certificate);
  if (nowMs < start) {
    const when = new Date(start).toISOString();
    throw new ApiError(
      'UNAUTHENTICATED',
      `The node's certificate is valid only from ${when} on: set the clocks of both hosts right.`,
    );
  }
}
