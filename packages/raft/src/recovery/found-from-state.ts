import type { Index, MemberId, MemberInfo, SnapshotMeta, Term } from '../core/types.js';
import type { LogStorage } from '../storage/storage.js';

/** The start of a group of one. */
export interface FoundingState {
  /** Its only member; the id was never used before. */
  readonly self: MemberInfo;
  /** The index of its existing state. */
  readonly index: Index;
  readonly term: Term;
  /** Ids of the group that the state came from. They must never come back. */
  readonly removed: readonly MemberId[];
}

/** Describes the state of a group of one, as `StateMachine.restore` and the log need it. */
export function foundingMeta({ self, index, term, removed }: FoundingState): SnapshotMeta {
  const nobody = { votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return {
    index,
    term,
    conf: { voters: [self.id], ...nobody },
    members: [self],
    removed: [...new Set(removed)].filter((id) => id !== self.id).sort((a, b) => a - b),
  };
}

/**
 * Writes the log of a group of one that starts after a state taken elsewhere: empty except for its
 * start. The state machine must already have the state; otherwise the member will not start on it.
 * @param storage a new one, not open; closed again
 */
export async function foundLog(storage: LogStorage, meta: SnapshotMeta): Promise<void> {
  await storage.open();
  try {
    await storage.persist({
      hardState: { term: meta.term, vote: 0, commit: meta.index },
      snapshot: meta,
      entries: [],
      mustSync: true,
    });
  } finally {
    await storage.close();
  }
}
