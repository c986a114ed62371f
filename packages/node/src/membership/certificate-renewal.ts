import { ApiError, type Logger } from '@swarm/api';
import { certificateTime, isValidAt } from '@swarm/identity';
import type { NodeFiles } from '../files/node-files.js';
import type { ManagerPart } from '../manager-part.js';
import { ownIdentity } from './first-certificate.js';
import type { KnownManagers } from './known-managers.js';
import type { MemberHost } from './member-host.js';
import { type RoleFollower, shouldBeManager } from './role-follower.js';

/** A manager issues its own certificate when it has less time left than this and the group has no leader. */
const REISSUE_BEFORE_MS = 2 * 60 * 60_000;
/** Codes of a renewal that nobody has decided on. */
const NO_ANSWER: readonly string[] = ['TIMEOUT', 'NO_QUORUM'];

export interface CertificateRenewalOptions {
  readonly files: NodeFiles;
  readonly managerPart: ManagerPart;
  readonly role: RoleFollower;
  readonly known: KnownManagers;
  readonly host: Pick<MemberHost, 'clock' | 'randomBytes' | 'issuer'>;
  readonly logger: Logger;
}

/** Gets a node its next certificate: from the managers or, for a manager that nobody answers, from itself. */
export class CertificateRenewal {
  readonly #options: CertificateRenewalOptions;

  constructor(options: CertificateRenewalOptions) {
    this.#options = options;
  }

  /** Renews the certificate; returns its PEM. @throws ApiError */
  async renew(): Promise<string> {
    const { files, role, known } = this.#options;
    await this.reissueExpired();
    const certificate = await role.renew().catch(async (error: unknown) => {
      const isUnanswered = error instanceof ApiError && NO_ANSWER.includes(error.code);
      if (!isUnanswered || !(await this.reissueExpired(REISSUE_BEFORE_MS))) throw error;
      return files.identity!.certificate;
    });
    await files.save({ ...files.state!, managers: known.all() });
    return certificate;
  }

  /**
   * Issues this manager's own certificate again if it is outside of its time, or will be.
   * @param withinMs how soon
   * @returns whether it did
   */
  async reissueExpired(withinMs = 0): Promise<boolean> {
    const { files, managerPart, host, logger } = this.#options;
    const { identity, state, role } = files;
    const { manager } = managerPart;
    if (identity === undefined || state === undefined || manager === undefined) return false;
    const { clock } = host;
    const time = certificateTime(identity.certificate);
    const isValid = isValidAt(time, clock.now()) && isValidAt(time, clock.now() + withinMs);
    if (role !== 'manager' || isValid) return false;
    const cluster = manager.store.cluster();
    const node = manager.store.get('node', state.nodeId);
    // One that the cluster has made a worker, or removed, asks the others as every node does.
    if (cluster === undefined || node === undefined || !shouldBeManager(node)) return false;
    await files.saveIdentity(await ownIdentity(host, cluster, state.nodeId));
    managerPart.renewIdentity();
    logger.warn(
      {
        validFrom: new Date(time.issuedAtMs).toISOString(),
        validTo: new Date(time.expiresAtMs).toISOString(),
        now: new Date(clock.now()).toISOString(),
      },
      'this manager has issued itself a certificate, because its own was not valid by its clock',
    );
    return true;
  }
}
