import { assert } from '../core/assert.js';
import {
  changeConf,
  type ConfChange,
  ConfChangeOp,
  encodeConfChange,
  isJoint,
  LEAVE_JOINT,
} from '../core/conf-change.js';
import {
  type Entry,
  EntryKind,
  type Index,
  type MemberId,
  type MemberInfo,
} from '../core/types.js';
import { MemberNotFoundError, StateBehindLogError } from '../host/errors.js';
import { Membership } from '../host/membership.js';
import type { LogStorage, Recovered } from '../storage/storage.js';

export interface ForceOptions {
  /** The survivor. Its address may be new. */
  readonly self: MemberInfo;
  /** Its log, not open. This opens it, changes it in one durable write, and closes it again. */
  readonly storage: LogStorage;
  /** The state machine's index after a flush. What is applied was committed. */
  readonly appliedIndex: Index;
  /** Highest index that this member knew to be committed while it ran; 0 if unknown. */
  readonly commitIndex: Index;
  /**
   * What happens to entries that this member holds but does not know to be committed. `drop`, as in
   * etcd and SwarmKit: they may include what the lost members acknowledged in their last moments.
   * `keep`: changes that were never acknowledged may take effect after all.
   */
  readonly uncommitted: 'drop' | 'keep';
}

/** What was done to the log. */
export interface Forced {
  /** Last entry that was kept. */
  readonly lastIndex: Index;
  /** Number of entries cut off after it. */
  readonly dropped: number;
  /** Members that were removed for good. */
  readonly removed: readonly MemberId[];
  readonly term: number;
}

/**
 * Turns what a single survivor holds into a group of one. Its log gets the membership changes that
 * a leader would have proposed, in a term of their own, as committed: the next start replays them
 * like any others. All or nothing, even across a crash.
 *
 * This deliberately breaks Raft's guarantee: use it only when the others are lost for good. If they
 * come back with their logs, they form a group of their own, which this one refuses (their ids
 * count as removed).
 * @throws MemberNotFoundError when this member is not part of the group, or about to leave it;
 * StateBehindLogError; what the storage throws
 */
export async function forceSingleMember(options: ForceOptions): Promise<Forced> {
  const { storage } = options;
  const recovered = await storage.open();
  try {
    return await force(options, recovered);
  } finally {
    await storage.close();
  }
}

async function force(options: ForceOptions, recovered: Recovered): Promise<Forced> {
  const { self, storage, appliedIndex } = options;
  const { snapshot, hardState } = recovered;
  if (appliedIndex < snapshot.index) throw new StateBehindLogError(appliedIndex, snapshot.index);
  const end = snapshot.index + recovered.entries.length;
  const known = Math.max(hardState.commit, snapshot.index, appliedIndex, options.commitIndex);
  const lastIndex = options.uncommitted === 'keep' ? end : Math.min(known, end);
  const entries = recovered.entries.slice(0, lastIndex - snapshot.index);
  const membership = membershipOf(recovered, entries);
  const before = membership.current.members.map(({ id }) => id);
  const lastTerm = entries.at(-1)?.term ?? snapshot.term;
  // Nobody led this term: whatever a lost leader still sends is older.
  const term = Math.max(hardState.term, lastTerm) + 1;
  const forged: Entry[] = [];
  const forge = (change: ConfChange): void => {
    const index = lastIndex + forged.length + 1;
    const data = encodeConfChange(change);
    const entry: Entry = { index, term, kind: EntryKind.ConfChange, data };
    forged.push(entry);
    apply(membership, entry);
  };
  if (isJoint(membership.current.conf)) forge(LEAVE_JOINT);
  if (membership.info(self.id) === undefined) throw new MemberNotFoundError(self.id);
  const others = membership.current.members.filter(({ id }) => id !== self.id);
  forge({
    changes: [
      // Adds the survivor as a voter, even if it was a learner, with its current address.
      { op: ConfChangeOp.AddVoter, id: self.id, info: self },
      ...others.map(({ id }) => ({ op: ConfChangeOp.Remove, id })),
    ],
  });
  if (isJoint(membership.current.conf)) forge(LEAVE_JOINT);
  const { conf, members } = membership.current;
  assert(
    conf.voters.length === 1 && members.length === 1,
    'more than one member is left',
    members.length,
  );
  const commit = lastIndex + forged.length;
  await storage.persist({
    hardState: { term, vote: self.id, commit },
    entries: forged,
    mustSync: true,
  });
  const removed = before.filter((id) => id !== self.id);
  return { lastIndex, dropped: end - lastIndex, removed, term };
}

/** The membership after the last entry that is kept. */
function membershipOf({ snapshot }: Recovered, entries: readonly Entry[]): Membership {
  const membership = new Membership(snapshot);
  for (const entry of entries) if (entry.kind === EntryKind.ConfChange) apply(membership, entry);
  return membership;
}

/** A change that is not allowed has no effect, as when it is applied. */
function apply(membership: Membership, entry: Entry): void {
  membership.apply(entry, (change) => changeConf(membership.current.conf, change));
}
