import { join } from 'node:path';
import { ApiError, type Clock, type Logger } from '@swarm/api';
import { type Forced, forceSingleMember } from '@swarm/raft';
import { within } from '@swarm/http';
import type { ManagerAccess } from '../api/manager-access.js';
import { type LocalManager, selfInfo } from '../assembly/local-manager.js';
import { StoreStateMachine } from '../store/state-machine.js';
import { logOf } from './install-backup.js';

/** Longer than any election: who has no quorum after it has none. */
const QUORUM_CHECK_MS = 5_000;

/**
 * Whether a manager may leave the others behind: only when the group can not agree on anything, for
 * then nothing else helps. With a quorum there is always a way that breaks no promise.
 * @throws ApiError FAILED_PRECONDITION
 */
export async function checkForce(manager: ManagerAccess, clock: Clock): Promise<void> {
  const members = manager.members();
  if (members.length <= 1) return;
  try {
    const late = () => new ApiError('NO_QUORUM', 'no quorum');
    await within(clock, QUORUM_CHECK_MS, manager.readBarrier(), late);
  } catch {
    return;
  }
  throw new ApiError(
    'FAILED_PRECONDITION',
    `the managers of this cluster have a quorum (${members.length} managers), so nothing has to be ` +
      "forced: demote the managers you want to be without with 'docker node demote', or run " +
      "'docker swarm leave --force' on them",
  );
}

/**
 * Makes the group of a manager that is stopped a group of one: what it knows to be committed stays,
 * what it does not is dropped, as with SwarmKit.
 * @param commitIndex as the manager knew it last; 0 when it did not run
 * @throws ApiError FAILED_PRECONDITION when the manager was removed from its group
 */
export async function forceGroup(
  self: LocalManager,
  commitIndex: number,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<Forced> {
  const state = await StoreStateMachine.open({ folder: join(self.folder, 'state'), clock, logger });
  const { appliedIndex } = state;
  await state.close();
  try {
    return await forceSingleMember({
      self: selfInfo(self),
      storage: logOf(self),
      appliedIndex,
      commitIndex,
      uncommitted: 'keep',
    });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'RAFT_MEMBER_NOT_FOUND') throw error;
    throw new ApiError(
      'FAILED_PRECONDITION',
      'this manager was removed from its group: use another manager that is left, or a backup',
      { cause: error },
    );
  }
}
