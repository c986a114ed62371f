import type { networkInterfaces } from 'node:os';
import type { Clock } from '@swarm/api';
import type { CertificateIssuer } from '@swarm/manager/assembly';

/** What a node takes from its host and from chance when it enters a cluster. */
export interface MemberHost {
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly hostname: () => string;
  readonly networkInterfaces: typeof networkInterfaces;
  /** Loads what makes roots and certificates: a worker never does, as it is a manager's code. */
  readonly issuer: () => Promise<CertificateIssuer>;
}
