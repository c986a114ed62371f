import { type ConfChange, ConfChangeOp, isVoter } from '../core/conf-change.js';
import { majority } from '../core/quorum.js';
import type { MemberId, MemberInfo } from '../core/types.js';
import type { ChangeSteps } from './change-steps.js';
import {
  MemberExistsError,
  MemberNotFoundError,
  MemberRemovedError,
  RaftTimeoutError,
  RemovalLosesQuorumError,
} from './errors.js';

/** Runs a job while no other change of the membership is under way. */
export type Turns = <T>(job: () => Promise<T>) => Promise<T>;

/**
 * Replaces a member: the new one catches up as a learner, then one change makes it a voter and
 * removes the old one. Removing first and adding then would leave the group one voter short for as
 * long as the new one needs to catch up. Adding first would need a larger majority, which a group
 * whose old member is dead may not have.
 *
 * All the state it relies on is in the configuration, so it continues where an earlier call ended,
 * on any leader, and other changes may happen while the new member catches up.
 */
export async function replaceMember(
  steps: ChangeSteps,
  inTurn: Turns,
  oldId: MemberId,
  info: MemberInfo,
): Promise<void> {
  const { clock, limits } = steps.host;
  let isDone = await inTurn(() => begin(steps, oldId, info));
  const deadlineMs = clock.now() + limits.joinTimeoutMs;
  while (!isDone) {
    await untilReady(steps, inTurn, oldId, info.id, deadlineMs);
    isDone = await inTurn(() => complete(steps, oldId, info));
  }
}

/** Makes the new one a learner. Resolves with true when nothing is left to do. */
async function begin(steps: ChangeSteps, oldId: MemberId, info: MemberInfo): Promise<boolean> {
  const { core, membership, id: self } = steps.host;
  const { removed } = membership.current;
  if (info.id === oldId) throw new MemberExistsError(info.id, oldId);
  if (removed.includes(info.id)) throw new MemberRemovedError(info.id);
  const isGone = membership.info(oldId) === undefined;
  if (isGone && !removed.includes(oldId)) throw new MemberNotFoundError(oldId);
  if (isVoter(core.conf, info.id)) {
    if (!isGone) throw new MemberExistsError(info.id, oldId);
    await steps.updateInfo(info);
    return true;
  }
  const lost = lostQuorum(steps, oldId);
  if (lost !== undefined) throw lost;
  if (oldId === self) await steps.handOver();
  if (core.conf.learners.includes(info.id)) await steps.updateInfo(info);
  else await steps.change({ changes: [{ op: ConfChangeOp.AddLearner, id: info.id, info }] });
  return false;
}

/**
 * Waits until the new member has caught up and a majority is reachable. Removes a member that does
 * not catch up in time: nobody else would ever promote or remove it.
 */
async function untilReady(
  steps: ChangeSteps,
  inTurn: Turns,
  oldId: MemberId,
  newId: MemberId,
  deadlineMs: number,
): Promise<void> {
  const late = () => {
    const lost = lostQuorum(steps, oldId);
    return steps.caughtUp(newId) && lost !== undefined ? lost : steps.stuck(newId);
  };
  try {
    await steps.host.conditions.until(() => isReady(steps, oldId, newId), deadlineMs, late);
  } catch (error) {
    // A member that is ready stays. Its turn comes when the caller repeats the call and a majority
    // is reachable.
    const isLate = error instanceof RaftTimeoutError || error instanceof RemovalLosesQuorumError;
    if (isLate && !steps.caughtUp(newId)) await inTurn(() => steps.dropLearner(newId));
    throw error;
  }
}

function isReady(steps: ChangeSteps, oldId: MemberId, newId: MemberId): true | undefined {
  return steps.caughtUp(newId) && lostQuorum(steps, oldId) === undefined ? true : undefined;
}

/**
 * Proposes the change in the very turn that finds everything ready. Resolves with false when that is no
 * longer so.
 */
async function complete(steps: ChangeSteps, oldId: MemberId, info: MemberInfo): Promise<boolean> {
  const { conditions, core } = steps.host;
  // Another call may have done it, or a part of it, while this one waited.
  if (isVoter(core.conf, info.id)) return begin(steps, oldId, info);
  const deadlineMs = steps.changeDeadlineMs();
  steps.host.wake();
  const proposed = await conditions.until(
    () =>
      isReady(steps, oldId, info.id)
        ? steps.propose(replacement(steps, oldId, info.id))
        : ('not ready' as const),
    deadlineMs,
    () => steps.changeIsLate(),
  );
  if (proposed === 'not ready') return false;
  await steps.finish(proposed);
  return true;
}

function replacement(steps: ChangeSteps, oldId: MemberId, newId: MemberId): ConfChange {
  const isGone = steps.host.membership.info(oldId) === undefined;
  const add = { op: ConfChangeOp.AddVoter, id: newId };
  return { changes: isGone ? [add] : [add, { op: ConfChangeOp.Remove, id: oldId }] };
}

/**
 * The voters need a reachable majority to enter the joint configuration and to leave it. The voters
 * after the change then have one too: they are the same except for the old one, and the new one is
 * reachable.
 */
function lostQuorum(steps: ChangeSteps, oldId: MemberId): RemovalLosesQuorumError | undefined {
  const { core } = steps.host;
  const { voters } = core.conf;
  const reachable = voters.filter((id) => core.memberProgress(id).active).length;
  const needed = majority(voters.length);
  if (reachable >= needed) return undefined;
  return new RemovalLosesQuorumError(oldId, reachable, needed, 'until');
}
