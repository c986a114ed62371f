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
 * Decides what a node may do now. The certificate proves who it is; the store says whether it is in the
 * cluster, and in which role. A node that the store does not know is denied.
 *
 * A manager may be behind, and then misses a node that joined since, or a promotion. Two rules follow.
 * Before it denies a request because of something it may not know yet, it catches up and looks again. And
 * because it catches up over Raft, it lets another manager into Raft on the strength of its certificate
 * alone: when that manager is in the group's configuration, or when nothing stored here contradicts the
 * certificate and there is no other known leader to ask. Every removed node is remembered until its
 * last certificate has expired, so a node that is in neither place joined later.
 */
export class Authority {
  readonly #context: AuthorityContext;

  constructor(context: AuthorityContext) {
    this.#context = context;
  }

  /**
   * Identifies the caller and checks that it has the right.
   * @param proof undefined for a caller without a certificate
   * @throws ApiError UNAUTHENTICATED, UNKNOWN_NODE, PERMISSION_DENIED, NO_QUORUM
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

  /** Whether the node still has the right, without catching up. For checking open connections again. */
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
    refuseRemoved(view, nodeId);
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
    // The certificate is newer than the node's object here: the node was promoted since.
    return node === undefined || issuedAtMs > Date.parse(node.UpdatedAt);
  }

  /** Whether something committed but not applied here yet could change the decision. */
  #mayBeBehind({ subject }: Proof, right: string): boolean {
    const { nodeId, role } = subject;
    if (this.#context.view.get('node', nodeId) === undefined) return true;
    return role === 'manager' && mayUse('manager', right);
  }
}
