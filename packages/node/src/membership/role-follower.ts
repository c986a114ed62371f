import { ApiError, type Logger, type Node } from '@swarm/api';
import { certificateSubject, createKeyRequest, requestCertificate } from '@swarm/identity';
import { firstOf } from './first-of.js';
import type { ManagerPart } from '../manager-part.js';
import type { NodeFiles } from '../files/node-files.js';

/** A manager stays one until the leader took it out of the Raft group. */
export function shallBeManager({ Spec, RaftID }: Pick<Node, 'Spec' | 'RaftID'>): boolean {
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
  /** Has the certificate renewed soon; `renew` is what does it. */
  readonly renewSoon: () => void;
}

/** Makes a node what its managers say it shall be: certificate first, then what that stands for. */
export class RoleFollower {
  readonly #options: RoleFollowerOptions;
  /** This node as the leader said it last. */
  #node: Node | undefined;
  /** What the leader had said when the Raft group confirmed this member: said again, it is no news. */
  #confirmed: Node | undefined;
  /** While certificate or role change: what the leader says meanwhile is looked at after that. */
  #changing = false;

  constructor(options: RoleFollowerOptions) {
    this.#options = options;
  }

  /** What the leader says of this node; undefined when it left. */
  heard(node: Node | undefined): void {
    this.#node = node;
    this.#follow();
  }

  /** Becomes the manager that the first certificate makes it. @throws ApiError */
  joinGroup(): Promise<void> {
    const { managerPart, addresses, signal } = this.#options;
    return this.#change(() => managerPart.join(addresses(), signal()));
  }

  /** Gets a new certificate; with another role in it, the node becomes that. Returns its PEM. */
  renew(): Promise<string> {
    return this.#change(() => this.#renew());
  }

  #follow(): void {
    const { files, managerPart, renewSoon } = this.#options;
    if (this.#changing || this.#node === undefined || files.role === undefined) return;
    const wanted = shallBeManager(this.#node) ? 'manager' : 'worker';
    const isManager = managerPart.manager !== undefined;
    const isOther = files.role !== wanted || (files.role === 'manager') !== isManager;
    if (isOther || (isManager && this.#mayBeOut(this.#node))) renewSoon();
  }

  /** Demoted and promoted again before it heard of either, a member is out and goes on as if it was not. */
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
   * A join whose end is not known may have made this node a voter: then the others may need it for their
   * quorum, and it must be there before a certificate can be had.
   */
  async #resumeJoin(): Promise<void> {
    const { files, managerPart, addresses, signal, logger } = this.#options;
    if (files.role !== 'manager' || files.state?.raftId === undefined) return;
    if (managerPart.manager !== undefined) return;
    try {
      await managerPart.join(addresses(), signal());
    } catch (error) {
      // Perhaps it shall be a worker by now; the next certificate says.
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
