import { type ConfChange, ConfChangeOp, isVoter } from '../core/conf-change.js';
import { majority } from '../core/quorum.js';
import type { MemberId, MemberInfo } from '../core/types.js';
import type { ChangeSteps, ProposedChange } from './change-steps.js';
import {
  MemberExistsError,
  MemberNotFoundError,
  MemberRemovedError,
  RaftTimeoutError,
  RemovalLosesQuorumError,
} from './errors.js';

/**
 * Replaces a member: the new one catches up as a learner, then one change makes it a voter and
 * removes the old one. Removing first and adding then would leave the group one voter short for as
 * long as the new one needs to catch up. Adding first would need a larger majority, which a group
 * whose old member is dead may not have.
 *
 * All the state it relies on is in the configuration, so it continues where an earlier call ended,
 * on any leader. Call it while no change is under way.
 */
export async function replaceMember(
  steps: ChangeSteps,
  oldId: MemberId,
  info: MemberInfo,
): Promise<void> {
  const { core, membership, id: self } = steps.host;
  const { removed } = membership.current;
  if (info.id === oldId) throw new MemberExistsError(info.id, oldId);
  if (removed.includes(info.id)) throw new MemberRemovedError(info.id);
  const isGone = membership.info(oldId) === undefined;
  if (isGone && !removed.includes(oldId)) throw new MemberNotFoundError(oldId);
  if (isVoter(core.conf, info.id)) {
    if (!isGone) throw new MemberExistsError(info.id, oldId);
    await steps.updateInfo(info);
    return;
  }
  const lost = lostQuorum(steps, oldId);
  if (lost !== undefined) throw lost;
  if (oldId === self) await steps.handOver();
  if (core.conf.learners.includes(info.id)) await steps.updateInfo(info);
  else await steps.change({ changes: [{ op: ConfChangeOp.AddLearner, id: info.id, info }] });
  const proposed = await proposeWhenReady(steps, oldId, info.id);
  await steps.finish(proposed);
}

/**
 * Proposes the change in the very turn that finds the new member caught up and a majority
 * reachable. Removes a member that does not catch up in time: nobody else would ever promote or
 * remove it.
 */
async function proposeWhenReady(
  steps: ChangeSteps,
  oldId: MemberId,
  newId: MemberId,
): Promise<ProposedChange> {
  const { conditions, clock, limits } = steps.host;
  const isReady = () => steps.caughtUp(newId) && lostQuorum(steps, oldId) === undefined;
  const late = () => {
    const lost = lostQuorum(steps, oldId);
    return steps.caughtUp(newId) && lost !== undefined ? lost : steps.stuck(newId);
  };
  try {
    return await conditions.until(
      () => (isReady() ? steps.propose(replacement(steps, oldId, newId)) : undefined),
      clock.now() + limits.joinTimeoutMs,
      late,
    );
  } catch (error) {
    // A member that is ready stays. Its turn comes when the caller repeats the call and a majority
    // is reachable.
    const isLate = error instanceof RaftTimeoutError || error instanceof RemovalLosesQuorumError;
    if (isLate && !steps.caughtUp(newId)) {
      await steps.change({ changes: [{ op: ConfChangeOp.Remove, id: newId }] });
    }
    throw error;
  }
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
