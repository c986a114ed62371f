import { X509Certificate } from 'node:crypto';
import type { NodeRole } from '@swarm/api';

/** Whom a node certificate names: CN the node, OU the role, O the cluster. */
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

/** The fields of a certificate's subject as Node gives them; a repeated field is an array. */
export interface SubjectFields {
  readonly CN?: string | string[];
  readonly OU?: string | string[];
  readonly O?: string | string[];
}

/** Reads a subject; undefined when it is none of a node's. A repeated field makes it none. */
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

/** End of validity, milliseconds since the epoch. (`validToDate` came with Node 22.) */
export function expiresAt(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

/** Start of validity, milliseconds since the epoch. */
export function startsAt(certificate: X509Certificate): number {
  return Date.parse(certificate.validFrom);
}

/**
 * Whom a node's own certificate names.
 * @param certificate PEM, from `loadNodeIdentity`
 * @throws Error when it is no node's
 */
export function certificateSubject(certificate: string): Subject {
  const subject = subjectOf(new X509Certificate(certificate));
  if (subject === undefined) throw new Error('the certificate is not a node’s');
  return subject;
}
