import { ApiError, type Node } from '@swarm/api';
import { mayUse, NOBODY, type Principal, type Proof, requireRight } from '@swarm/identity';
import { refuseRemoved } from '../ca/removed.js';
import type { View } from '../store/store.js';

export interface AuthorityContext {
  readonly view: View;
  /** The Raft group as this member knows it. */
  readonly group: () => {
    /** Node ids of the members. */
    readonly members: readonly string[];
    /** Node id of the leader; undefined while none is known. */
    readonly leader: string | undefined;
  };
  /**
   * Resolves when the store holds everything that was committed before the call.
   * @throws ApiError NO_QUORUM after a time
   */
  readonly catchUp: () => Promise<void>;
}

/**
 * Says what a node may do now. The certificate proves who it is; the store says that it is in the cluster,
 * and its role. A node that the store does not know is denied.
 *
 * A manager may be behind, and then knows neither a node that joined since nor a promotion. Two things
 * follow. Before it denies somebody for what it may not know yet, it catches up and looks again. And it
 * lets a manager into Raft itself, by which it catches up, on its certificate: when it is in the group's
 * configuration, or when nothing known here speaks against the certificate and no leader is known who
 * could tell. RemovedNodes holds every removed node until its last certificate has expired, so a node that
 * is in neither place came later.
 */
export class Authority {
  readonly #context: AuthorityContext;

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  /**
   * Who this is for the given right, and that it may.
   * @param proof undefined for who came without a certificate
   * @throws ApiError UNAUTHENTICATED, PERMISSION_DENIED, NO_QUORUM
   */
  async admit(proof: Proof | undefined, right: string): Promise<Principal> {
    const known = this.#judge(proof, right);
    if (proof === undefined || mayUse(known.kind, right) || !this.#mayBeBehind(proof, right)) {
      requireRight(known, right);
      return known;
    }
    await this.#context.catchUp();
    const principal = this.#judge(proof, right);
    requireRight(principal, right);
    return principal;
  }

  /** Whether it may still, by what is known now. Asked again for connections that stand. */
  holds(proof: Proof, right: string): boolean {
    try {
      return mayUse(this.#judge(proof, right).kind, right);
    } catch (error) {
      if (error instanceof ApiError) return false;
      throw error;
    }
  }

  /** @throws ApiError PERMISSION_DENIED for a removed node */
  #judge(proof: Proof | undefined, right: string): Principal {
    if (proof === undefined) return NOBODY;
    const { view } = this.#context;
    const { nodeId, role } = proof.subject;
    refuseRemoved(view.cluster(), nodeId);
    const node = view.get('node', nodeId);
    if (role === 'worker') return { kind: node === undefined ? 'unknown' : 'worker', nodeId };
    if (node?.Spec.Role === 'manager') return { kind: 'manager', nodeId };
    if (node?.RaftID !== undefined) return { kind: 'departing', nodeId };
    if (mayUse('newcomer', right) && this.#mayHaveCome(proof, node)) {
      return { kind: 'newcomer', nodeId };
    }
    return { kind: node === undefined ? 'unknown' : 'demoted', nodeId };
  }

  #mayHaveCome({ subject, issuedAtMs }: Proof, node: Node | undefined): boolean {
    const { members, leader } = this.#context.group();
    if (members.includes(subject.nodeId)) return true;
    if (leader !== undefined && leader !== subject.nodeId) return false;
    // A manager's certificate made after all that is known of the node: it was promoted since.
    return node === undefined || issuedAtMs > Date.parse(node.UpdatedAt);
  }

  /** Whether what is not known here yet could make a difference. */
  #mayBeBehind({ subject }: Proof, right: string): boolean {
    const { nodeId, role } = subject;
    if (this.#context.view.get('node', nodeId) === undefined) return true;
    return role === 'manager' && mayUse('manager', right);
  }
}
