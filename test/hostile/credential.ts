/** Whose certificate an attacker holds. */
export type IdentityName =
  /** A worker of this cluster. */
  | 'worker'
  /** A worker that was removed. */
  | 'removed'
  /** A manager that was demoted, with its old manager's certificate. */
  | 'demoted'
  /** A node of another cluster. */
  | 'foreign'
  /** Another CA's certificate for this cluster's leader. */
  | 'impostor'
  /** A live manager's id in an expired certificate of this cluster. */
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

/** The credentials that an attacker connects with. */
export interface Credential {
  readonly name: IdentityName;
  /** The node in the certificate; absent without a certificate. */
  readonly nodeId?: string;
  /** PEM. */
  readonly key?: string;
  readonly certificate?: string;
  /** The address to connect from. */
  readonly from: string;
  /** Its node has one session after the other, which other sessions would end. */
  readonly isResident?: boolean;
}

/** Whether the node is still in the cluster, so that it may act as a worker. */
export function isOfCluster(name: IdentityName): boolean {
  return name === 'worker' || name === 'demoted';
}
