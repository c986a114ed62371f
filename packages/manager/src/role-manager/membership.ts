import type { Member } from './can-demote.js';

/** The role manager's access to the Raft group. */
export interface Membership {
  members(): readonly Member[];
  /** Calls back after each change of the members. Returns a function that ends that. */
  watch(changed: () => void): () => void;
  /** Resolves when the group has committed the removal. */
  remove(raftId: number): Promise<void>;
  /** Whether the member is this node, and it leads. */
  isSelf(raftId: number): boolean;
  /** Transfers leadership to another reachable voter, which stops this loop. */
  transferAway(): Promise<void>;
}
