import { join } from 'node:path';
import { ApiError, type Clock } from '@swarm/api';
import { type Forced, forceSingleMember } from '@swarm/raft';
import { within } from '@swarm/http';
import type { ManagerAccess } from '../api/manager-access.js';
import { type LocalManager, selfInfo } from '../assembly/local-manager.js';
import { StoreStateMachine } from '../store/state-machine.js';
import type { RecoveryContext } from './install-backup.js';

/** Longer than any election: a group that does not answer in this time has no quorum. */
const QUORUM_CHECK_MS = 5_000;

/**
 * Checks that a manager may leave the others behind: only when the group has no quorum, and so nothing else
 * helps. With a quorum, demoting managers does the same without the risk of losing committed changes.
 * @throws ApiError FAILED_PRECONDITION while there is a quorum
 */
export async function checkForce(manager: ManagerAccess, clock: Clock): Promise<void> {
  if (manager.members().length <= 1) return;
  const found = manager.findLeader?.().catch(() => undefined);
  try {
    const late = () => new ApiError('NO_QUORUM', 'no quorum');
    await within(clock, QUORUM_CHECK_MS, manager.readBarrier(), late);
  } catch {
    const leader = await found;
    const timeProblem = manager.timeProblem?.();
    if (leader === undefined && timeProblem === undefined) return;
    // Whether it leads cannot be known: it may have a quorum with the others.
    if (leader === undefined) {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `a manager lives that this one cannot talk to. ${timeProblem} If that manager should be left behind, ` +
          'stop its daemon first',
      );
    }
    throw new ApiError(
      'FAILED_PRECONDITION',
      `the other managers have a leader, node ${leader.nodeId} at ${leader.address}: this one was removed from ` +
        "them or is cut off. It joins them again by itself; 'docker info' here says what it waits for",
    );
  }
  // Only now it has applied its log, and with it an attempt to force that was interrupted.
  const { length } = manager.members();
  if (length <= 1) return;
  throw new ApiError(
    'FAILED_PRECONDITION',
    `the managers of this cluster have a quorum (${length} managers), so there is no need to ` +
      "force a new cluster: demote the managers you want to remove with 'docker node demote', or run " +
      "'docker swarm leave --force' on them",
  );
}

/**
 * Turns the group of a stopped manager into a group of one. Keeps the whole log, even entries not known to be
 * committed: the lost managers may have acknowledged them (SwarmKit drops them).
 * @param commitIndex the last one the manager knew; 0 when it was not running
 * @throws ApiError FAILED_PRECONDITION when the manager was removed from its group
 */
export async function forceGroup(
  self: LocalManager,
  commitIndex: number,
  { log, clock, logger }: RecoveryContext,
): Promise<Forced> {
  const state = await StoreStateMachine.open({ folder: join(self.folder, 'state'), clock, logger });
  const { appliedIndex } = state;
  await state.close();
  try {
    return await forceSingleMember({
      self: selfInfo(self),
      storage: log,
      appliedIndex,
      commitIndex,
      uncommitted: 'keep',
    });
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'RAFT_MEMBER_NOT_FOUND') throw error;
    throw new ApiError(
      'FAILED_PRECONDITION',
      'this manager was removed from its group: use another surviving manager, or a backup',
      { cause: error },
    );
  }
}
