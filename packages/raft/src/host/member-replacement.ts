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
 * Replaces a member: the new one catches up as a learner, then one change makes it a voter and removes
 * the old one. To remove first and add then would leave the group with a voter less for as long as the
 * new one needs to catch up. To add first would ask for a larger majority, which a group whose old member
 * is dead may not have.
 *
 * All that it goes by is in the configuration. So it goes on wherever an earlier call ended, on whatever
 * leader. To be called while no change is under way.
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
 * Proposes the change in the very turn that finds the new member caught up and a majority there. One
 * that does not catch up in time is taken out again, as nobody else would ever promote or remove it.
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
    // One that is ready stays: its turn comes when the call is repeated and a majority is there.
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
 * The voters need a majority that can be reached, to get into the joint configuration and out of it. Those
 * after the change have one then, too: they are the same but for the old one, and the new one is there.
 */
function lostQuorum(steps: ChangeSteps, oldId: MemberId): RemovalLosesQuorumError | undefined {
  const { core } = steps.host;
  const { voters } = core.conf;
  const reachable = voters.filter((id) => core.memberProgress(id).active).length;
  const needed = majority(voters.length);
  if (reachable >= needed) return undefined;
  return new RemovalLosesQuorumError(oldId, reachable, needed, 'until');
}
