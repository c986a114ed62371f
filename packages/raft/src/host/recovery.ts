import { changeConf, ConfChangeOp, encodeConfChange } from '../core/conf-change.js';
import { RaftConfigError } from '../core/config.js';
import type { InitialState } from '../core/raft.js';
import { type Entry, EntryKind, type MemberId, type MemberInfo, NOBODY } from '../core/types.js';
import { type LogStorage, type Recovered, StorageCorruptError } from '../storage/storage.js';
import { StateBehindLogError } from './errors.js';
import { Membership } from './membership.js';
import type { RaftNodeOptions } from './options.js';

export type RecoveryOptions = Pick<
  RaftNodeOptions,
  'id' | 'members' | 'returns' | 'storage' | 'stateMachine'
>;

/** The point where a node resumes. */
export interface Recovery {
  readonly initial: InitialState;
  readonly membership: Membership;
}

/**
 * Reads the log and works out how much of it is applied.
 *
 * The configuration is that of the log's base plus the changes since, up to what is known to be
 * both committed and applied. The state machine may be further than the log knows, because it is
 * flushed on its own, and a snapshot reaches it first. Those entries come again, and only their
 * membership changes take effect then. The state machine's index proves nothing about our log,
 * which may still hold a tail that conflicts with a snapshot it installed.
 *
 * When it fails, the storage is closed again.
 *
 * @throws RaftConfigError, StorageCorruptError, StateBehindLogError, or what the storage throws
 */
export async function recover(options: RecoveryOptions): Promise<Recovery> {
  const { id, storage, members: founders } = options;
  if (founders !== undefined) checkFounders(id, founders);
  const found = await storage.open();
  try {
    return await resume(options, found);
  } catch (error) {
    await storage.close().catch(() => undefined);
    throw error;
  }
}

async function resume(options: RecoveryOptions, found: Recovered): Promise<Recovery> {
  const { id, storage, stateMachine, members: founders } = options;
  let recovered = found;
  if (options.returns === true && isNew(recovered)) {
    throw new StorageCorruptError(
      `The Raft log of member ${id} is gone: the member has run before, and its log is empty. What it ` +
        'acknowledged may be lost, so it must not vote again under its id. Remove the member from the ' +
        'cluster and let this node join again: it gets a new member id and a copy of the state.',
    );
  }
  // A founder's first start leaves the first entry behind. A joining member may have heard a leader
  // before its disk shows anything.
  const mayHavePromised = founders === undefined || !isNew(recovered);
  if (!mayHavePromised) recovered = await bootstrap(storage, recovered, founders);
  const { snapshot, entries, hardState } = recovered;
  const last = snapshot.index + entries.length;
  if (hardState.commit > last) {
    throw new StorageCorruptError(
      `entries up to ${hardState.commit} were committed but the log ends at ${last}; remove this ` +
        'member from the cluster and join again with empty directories',
    );
  }
  if (stateMachine.appliedIndex < snapshot.index) {
    throw new StateBehindLogError(stateMachine.appliedIndex, snapshot.index);
  }
  const commit = Math.max(hardState.commit, snapshot.index);
  const applied = Math.min(stateMachine.appliedIndex, commit);
  const membership = new Membership(snapshot);
  for (const entry of entries) {
    if (entry.index > applied) break;
    if (entry.kind === EntryKind.ConfChange) {
      membership.apply(entry, (change) => changeConf(membership.current.conf, change));
    }
  }
  const { conf } = membership.current;
  const stateIndex = stateMachine.appliedIndex;
  const log = { hardState, base: snapshot, entries };
  const initial = { ...log, applied, stateIndex, conf, mayHavePromised };
  return { initial, membership };
}

/** Refuses a list of founders that would give members different first entries in the same term. */
function checkFounders(id: MemberId, founders: readonly MemberInfo[]): void {
  const ids = new Set(founders.map((member) => member.id));
  if (!ids.has(id) || ids.size !== founders.length) {
    throw new RaftConfigError(
      'members must name each founding member once, this one included; leave it out to join',
    );
  }
}

function isNew({ hardState, snapshot, entries }: Recovered): boolean {
  return hardState.term === 0 && snapshot.index === 0 && entries.length === 0;
}

/**
 * Bootstraps the cluster. The founders agree on the first entry without an election: each forges
 * the same one, committed in term 1. Being an entry, it reaches members that join later like every
 * other.
 */
async function bootstrap(
  storage: LogStorage,
  empty: Recovered,
  founders: readonly MemberInfo[],
): Promise<Recovered> {
  const changes = [...founders]
    .sort((a, b) => a.id - b.id)
    .map((info) => ({ op: ConfChangeOp.AddVoter, id: info.id, info }));
  const data = encodeConfChange({ changes });
  const entry: Entry = { index: 1, term: 1, kind: EntryKind.ConfChange, data };
  const hardState = { term: 1, vote: NOBODY, commit: 1 };
  await storage.persist({ hardState, entries: [entry], mustSync: true });
  return { ...empty, hardState, entries: [entry] };
}
