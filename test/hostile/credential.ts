/** Whose certificate an attacker holds. */
export type IdentityName =
  /** A worker of this cluster. */
  | 'worker'
  /** A worker that was removed. */
  | 'removed'
  /** A manager that was demoted, with the manager's certificate it had. */
  | 'demoted'
  /** A node of another cluster. */
  | 'foreign'
  /** Another authority's certificate for this cluster's leader. */
  | 'impostor'
  /** A live manager's id in a certificate of this cluster that has expired. */
  | 'expired'
  /** A manager's certificate of this cluster for a node that the cluster has never had. */
  | 'unknown'
  | 'nobody';

export const IDENTITIES: readonly IdentityName[] = [
  'worker',
  'removed',
  'demoted',
  'foreign',
  'impostor',
  'expired',
  'unknown',
  'nobody',
];

/** What an attacker connects with. */
export interface Credential {
  readonly name: IdentityName;
  /** Of the certificate. Absent without one. */
  readonly nodeId?: string;
  /** PEM. */
  readonly key?: string;
  readonly certificate?: string;
  /** Address that it connects from. */
  readonly from: string;
  /** Its node has one session after the other; other sessions would end them. */
  readonly isResident?: boolean;
}

/** Whether the cluster still has the node, so that it may act as the worker it is. */
export function isOfCluster(name: IdentityName): boolean {
  return name === 'worker' || name === 'demoted';
}
