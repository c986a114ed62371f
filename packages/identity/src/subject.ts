import { X509Certificate } from 'node:crypto';
import type { NodeRole } from '@swarm/api';

/** The subject of a node's certificate: CN is the node, OU the role, O the cluster. */
export interface Subject {
  readonly nodeId: string;
  readonly role: NodeRole;
  readonly clusterId: string;
}

/** The organisational unit that stands for a role. */
export const UNITS: Readonly<Record<NodeRole, string>> = {
  manager: 'swarm-manager',
  worker: 'swarm-worker',
};

/** The fields of a certificate's subject as Node.js returns them; a repeated field is an array. */
export interface SubjectFields {
  readonly CN?: string | string[];
  readonly OU?: string | string[];
  readonly O?: string | string[];
}

/** Reads a subject; undefined when it is not a node's, for instance because a field is repeated. */
export function readSubject(fields: SubjectFields | undefined): Subject | undefined {
  const { CN, OU, O } = fields ?? {};
  if (typeof CN !== 'string' || typeof OU !== 'string' || typeof O !== 'string') return undefined;
  const role = OU === UNITS.manager ? 'manager' : OU === UNITS.worker ? 'worker' : undefined;
  if (role === undefined || CN === '' || O === '') return undefined;
  return { nodeId: CN, role, clusterId: O };
}

/** The subject of a parsed certificate. */
export function subjectOf(certificate: X509Certificate): Subject | undefined {
  return readSubject(certificate.toLegacyObject().subject as SubjectFields | undefined);
}

/** End of validity, milliseconds since the epoch. (Node.js 20 has no `validToDate`.) */
export function expiresAt(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

/** Start of validity, milliseconds since the epoch. */
export function startsAt(certificate: X509Certificate): number {
  return Date.parse(certificate.validFrom);
}

/**
 * The subject of a node's own certificate.
 * @param certificate PEM, from `loadNodeIdentity`
 * @throws Error when it is not a node's
 */
export function certificateSubject(certificate: string): Subject {
  const subject = subjectOf(new X509Certificate(certificate));
  if (subject === undefined) throw new Error('the certificate is not a node’s');
  return subject;
}
