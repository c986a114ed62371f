import { ApiError, type Logger, type Node, type NodeRole } from '@swarm/api';
import { certificateSubject, createKeyRequest, requestCertificate } from '@swarm/identity';
import { firstOf } from './first-of.js';
import type { ManagerPart } from '../manager-part.js';
import type { NodeFiles } from '../files/node-files.js';

/** A manager stays a manager until the leader has removed it from the Raft group. */
export function shouldBeManager({ Spec, RaftID }: Pick<Node, 'Spec' | 'RaftID'>): boolean {
  return Spec.Role === 'manager' || RaftID !== undefined;
}

function roleOf(node: Node): NodeRole {
  return shouldBeManager(node) ? 'manager' : 'worker';
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
  /** The group goes on without this node's member. */
  #isOutside = false;
  /** Why the last try to take on another role failed; empty when it did not. */
  #problem = '';
  /** True while certificate or role change; what the leader sends meanwhile is handled afterwards. */
  #changing = false;

  constructor(options: RoleFollowerOptions) {
    this.#options = options;
  }

  /** Follows what the leader sends about this node; undefined when the node has left. */
  heard(node: Node | undefined): void {
    this.#node = node;
    if (node === undefined) {
      this.#isOutside = false;
      this.#problem = '';
    }
    this.#follow();
  }

  /** The group goes on without this node's member: it was removed, or is cut off. */
  outside(): void {
    const { managerPart, renewSoon } = this.#options;
    if (managerPart.manager === undefined || this.#changing) return;
    this.#isOutside = true;
    renewSoon();
  }

  /** Whether the node should be a manager and is not one yet. */
  isBecomingManager(): boolean {
    const { files, managerPart } = this.#options;
    if (files.state === undefined || managerPart.manager !== undefined) return false;
    if (files.state.raftJoined === true) return false;
    return files.role === 'manager' || (this.#node !== undefined && shouldBeManager(this.#node));
  }

  /** Whether the node has not the role that it should have. */
  isChanging(): boolean {
    return this.#options.files.role !== undefined && (this.#isOutside || this.#isOther());
  }

  /** Why the node has not the role that it should have, for people; empty when it has. */
  problem(): string {
    if (this.#problem === '' || !this.isChanging()) return '';
    const what = this.#isOutside
      ? 'the managers go on without this one, and it cannot join them again yet'
      : `this node should be a ${this.#wanted()} and cannot become one yet`;
    return `${what}: ${this.#problem}; it tries again by itself`;
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
    const mayBeOut = managerPart.manager !== undefined && this.#mayBeOut(this.#node);
    if (this.#isOther() || this.#isMisread(this.#node) || mayBeOut) renewSoon();
  }

  /** The role that the leader wants; that of the certificate until it has said so. */
  #wanted(): NodeRole | undefined {
    return this.#node === undefined ? this.#options.files.role : roleOf(this.#node);
  }

  /** Whether the certificate, or what runs here, is not of the role that the leader wants. */
  #isOther(): boolean {
    const { files, managerPart } = this.#options;
    const isManager = managerPart.manager !== undefined;
    return files.role !== this.#wanted() || (files.role === 'manager') !== isManager;
  }

  /**
   * The leader believes that this node has a certificate of the other role: the process ended between the
   * certificate's issue and its arrival here.
   */
  #isMisread(node: Node): boolean {
    return node !== this.#confirmed && node.Role !== this.#options.files.role;
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
    else if (managerPart.manager === undefined) await this.#join();
    else if (this.#isOutside || (heard !== undefined && this.#mayBeOut(heard)))
      await managerPart.rejoin(addresses(), signal());
    this.#confirmed = heard;
    this.#isOutside = false;
    return certificate;
  }

  /**
   * A join with unknown outcome may have made this node a voter. Then the others may need it for their
   * quorum, so it must run before it can get a certificate.
   */
  async #resumeJoin(): Promise<void> {
    const { files, managerPart, logger } = this.#options;
    if (files.role !== 'manager' || files.state?.raftId === undefined) return;
    if (managerPart.manager !== undefined) return;
    try {
      await this.#join();
    } catch (error) {
      // The node may be meant to be a worker by now; the next certificate tells.
      logger.warn({ error: (error as Error).message }, 'joining did not go on');
    }
  }

  /**
   * A member that was in the group and does not run has an unusable log. With another log it must not go on
   * under its id, and the cluster decides whether the node stays a manager.
   */
  async #join(): Promise<void> {
    const { files, managerPart, addresses, signal } = this.#options;
    if (files.state?.raftJoined === true) return;
    await managerPart.join(addresses(), signal());
  }

  async #change<T>(work: () => Promise<T>): Promise<T> {
    this.#changing = true;
    try {
      const result = await work();
      this.#problem = '';
      this.#changing = false;
      this.#follow();
      return result;
    } catch (error) {
      this.#problem = (error as Error).message;
      throw error;
    } finally {
      this.#changing = false;
    }
  }
}
