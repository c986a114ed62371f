import type { Raft } from '../core/raft.js';
import type { RaftCore } from '../core/raw-node.js';
import type { Entry, Index, Term } from '../core/types.js';
import type { Membership } from '../host/membership.js';
import type { RaftNode } from '../host/raft-node.js';

/**
 * What invariants look at inside a node. The product offers no such view: nobody else should depend
 * on it, and a view kept only for us would have to be kept right.
 */
interface NodeInside {
  readonly core: RaftCore;
  readonly membership: Membership;
  wake(): void;
}

interface LogInside {
  readonly entries: readonly Entry[];
  readonly base: { readonly index: Index; readonly term: Term };
}

function inside(node: RaftNode): NodeInside {
  return node as unknown as NodeInside;
}

export function coreOf(node: RaftNode): RaftCore {
  return inside(node).core;
}

export function raftOf(node: RaftNode): Raft {
  return (inside(node).core as unknown as { readonly raft: Raft }).raft;
}

export function membershipOf(node: RaftNode): Membership {
  return inside(node).membership;
}

export function logOf(raft: Raft): LogInside {
  return raft.log as unknown as LogInside;
}

/** Has a node look at its core soon, after the core was changed from outside. */
export function wake(node: RaftNode): void {
  inside(node).wake();
}
