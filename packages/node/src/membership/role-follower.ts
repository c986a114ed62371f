import { ApiError, type Logger, type Node } from '@swarm/api';
import { certificateSubject, createKeyRequest, requestCertificate } from '@swarm/identity';
import { firstOf } from './first-of.js';
import type { ManagerPart } from '../manager-part.js';
import type { NodeFiles } from '../files/node-files.js';

/** A manager stays a manager until the leader has removed it from the Raft group. */
export function shouldBeManager({ Spec, RaftID }: Pick<Node, 'Spec' | 'RaftID'>): boolean {
  return Spec.Role === 'manager' || RaftID !== undefined;
}

export interface RoleFollowerOptions {
  readonly files: NodeFiles;
  readonly managerPart: ManagerPart;
  readonly logger: Logger;
  /** Managers to ask, `host:port`. */
  readonly addresses: () => readonly string[];
  /** Aborted when the node leaves or the process ends. */
  readonly signal: () => AbortSignal;
  /** Asks for the certificate to be renewed soon, by a call of `renew`. */
  readonly renewSoon: () => void;
}

/** Gives a node the role that its managers want: first the certificate, then what that stands for. */
export class RoleFollower {
  readonly #options: RoleFollowerOptions;
  /** This node as the leader last sent it. */
  #node: Node | undefined;
  /** What the leader had sent when the Raft group confirmed this member. The same again is not news. */
  #confirmed: Node | undefined;
  /** True while certificate or role change; what the leader sends meanwhile is handled afterwards. */
  #changing = false;

  constructor(options: RoleFollowerOptions) {
    this.#options = options;
  }

  /** Follows what the leader sends about this node; undefined when the node has left. */
  heard(node: Node | undefined): void {
    this.#node = node;
    this.#follow();
  }

  /** Joins the Raft group, when the first certificate is a manager's. @throws ApiError */
  joinGroup(): Promise<void> {
    const { managerPart, addresses, signal } = this.#options;
    return this.#change(() => managerPart.join(addresses(), signal()));
  }

  /** Gets a new certificate and takes on the role in it. Returns its PEM. */
  renew(): Promise<string> {
    return this.#change(() => this.#renew());
  }

  #follow(): void {
    const { files, managerPart, renewSoon } = this.#options;
    if (this.#changing || this.#node === undefined || files.role === undefined) return;
    const wanted = shouldBeManager(this.#node) ? 'manager' : 'worker';
    const isManager = managerPart.manager !== undefined;
    const isOther = files.role !== wanted || (files.role === 'manager') !== isManager;
    if (isOther || (isManager && this.#mayBeOut(this.#node))) renewSoon();
  }

  /**
   * A member that was demoted and promoted again without noticing is out of the group and does not know it.
   */
  #mayBeOut(node: Node): boolean {
    return node !== this.#confirmed && node.RaftID !== this.#options.files.state?.raftId;
  }

  async #renew(): Promise<string> {
    const { files, managerPart, addresses, signal } = this.#options;
    const before = files.identity;
    if (before === undefined || files.state === undefined)
      throw new ApiError('NOT_IN_SWARM', 'the node left the cluster');
    const heard = this.#node;
    await this.#resumeJoin();
    const { key, csr } = await createKeyRequest(certificateSubject(before.certificate));
    const { certificate, role } = await firstOf(
      addresses(),
      (address) => requestCertificate(address, before, { csr }),
      signal(),
    );
    const { rootCertificate } = before;
    await files.saveIdentity({ rootCertificate, certificate, key });
    managerPart.renewIdentity();
    if (role === 'worker') await managerPart.drop();
    else if (managerPart.manager === undefined) await managerPart.join(addresses(), signal());
    else if (heard !== undefined && this.#mayBeOut(heard))
      await managerPart.rejoin(addresses(), signal());
    this.#confirmed = heard;
    return certificate;
  }

  /**
   * A join with unknown outcome may have made this node a voter. Then the others may need it for their
   * quorum, so it must run before it can get a certificate.
   */
  async #resumeJoin(): Promise<void> {
    const { files, managerPart, addresses, signal, logger } = this.#options;
    if (files.role !== 'manager' || files.state?.raftId === undefined) return;
    if (managerPart.manager !== undefined) return;
    try {
      await managerPart.join(addresses(), signal());
    } catch (error) {
      // The node may be meant to be a worker by now; the next certificate tells.
      logger.warn({ error: (error as Error).message }, 'joining did not go on');
    }
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    this.#changing = true;
    try {
      const result = await work();
      this.#changing = false;
      this.#follow();
      return result;
    } finally {
      this.#changing = false;
    }
  }
}
