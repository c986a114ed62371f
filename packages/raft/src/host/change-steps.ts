import { type ConfChange, ConfChangeOp, isJoint } from '../core/conf-change.js';
import { type RaftCore, Refusal } from '../core/raw-node.js';
import type { Index, MemberId, MemberInfo } from '../core/types.js';
import type { Clock } from './clock.js';
import type { Conditions } from './conditions.js';
import {
  MemberNotFoundError,
  MemberRemovedError,
  NotLeaderError,
  RaftTimeoutError,
} from './errors.js';
import type { Membership } from './membership.js';
import type { RaftLimits } from './options.js';
import type { Proposals } from './proposals.js';

/**
 * A learner with this part of the leader's log may be promoted: it would not hold back a commit.
 */
const CAUGHT_UP_PERCENT = 90;

const STUCK_ADVICE =
  'it was removed again: check that it runs and can be reached, and let it join under a new id';

/** What membership changes need from the node. */
export interface ChangeHost {
  readonly id: MemberId;
  readonly core: RaftCore;
  readonly membership: Membership;
  readonly proposals: Proposals;
  readonly conditions: Conditions;
  readonly clock: Clock;
  readonly limits: RaftLimits;
  leader(): MemberInfo | undefined;
  /** Asks for a look at the core soon. */
  wake(): void;
  transfer(to: MemberId): Promise<void>;
  /** Notes that a change went into the log. */
  proposed(change: ConfChange): void;
}

/** A change that is in the log. */
export interface ProposedChange {
  /** Undefined while it is not applied. @throws why it may never be */
  applied(): Index | undefined;
}

/** The steps that membership changes are made of. All of them work on the leader only. */
export class ChangeSteps {
  readonly host: ChangeHost;

  constructor(host: ChangeHost) {
    this.host = host;
  }

  requireLeader(): void {
    if (this.host.core.role !== 'leader') throw new NotLeaderError(this.host.leader());
  }

  /**
   * Waits until a new leader has heard from a quorum and knows the members, and no change is under
   * way: neither an unapplied one of an earlier leader, nor a joint configuration that is still to
   * be left.
   * @throws NotLeaderError, RaftTimeoutError
   */
  async settled(): Promise<void> {
    const { core, conditions, clock, limits } = this.host;
    const ms = limits.changeTimeoutMs;
    const isSettled = () => {
      this.requireLeader();
      return core.confSettled ? true : undefined;
    };
    const late = () => new RaftTimeoutError('the previous membership change', ms);
    await conditions.until(isSettled, clock.now() + ms, late);
  }

  /** @throws MemberRemovedError, MemberNotFoundError when it is no longer a member */
  requireMember(id: MemberId): void {
    const { membership } = this.host;
    if (membership.info(id) !== undefined) return;
    throw membership.current.removed.includes(id)
      ? new MemberRemovedError(id)
      : new MemberNotFoundError(id);
  }

  /** Undefined while it lags. @throws MemberRemovedError when it was removed meanwhile */
  caughtUp(id: MemberId): true | undefined {
    const { core } = this.host;
    this.requireLeader();
    this.requireMember(id);
    const { match, active } = core.memberProgress(id);
    return active && match * 100 >= core.lastIndex * CAUGHT_UP_PERCENT ? true : undefined;
  }

  /** Removes a member that did not catch up, unless another call promoted or removed it. */
  async dropLearner(id: MemberId): Promise<void> {
    if (!this.host.core.conf.learners.includes(id)) return;
    await this.change({ changes: [{ op: ConfChangeOp.Remove, id }] });
  }

  /** Says why a member that did not catch up by its deadline was removed. */
  stuck(id: MemberId): RaftTimeoutError {
    const { joinTimeoutMs } = this.host.limits;
    return new RaftTimeoutError(`catching up member ${id}`, joinTimeoutMs, STUCK_ADVICE);
  }

  /**
   * Hands over so that the next leader removes us: a leader that leaves in the middle of its own
   * removal costs an election. If nobody takes over in time, it leaves that way.
   * @throws NotLeaderError that names the new leader; the caller asks that one
   */
  async handOver(): Promise<void> {
    const { host } = this;
    const to = bestSuccessor(host.core);
    if (to === undefined) return;
    try {
      await host.transfer(to);
    } catch (error) {
      if (error instanceof RaftTimeoutError) return;
      throw error;
    }
    throw new NotLeaderError(host.leader());
  }

  async updateInfo(info: MemberInfo): Promise<void> {
    const known = this.host.membership.info(info.id);
    if (known?.address === info.address && known.nodeId === info.nodeId) return;
    await this.change({ changes: [{ op: ConfChangeOp.Update, id: info.id, info }] });
  }

  /** Proposes a change as soon as the previous one is done, and waits until it is applied. */
  async change(change: ConfChange): Promise<void> {
    const deadlineMs = this.changeDeadlineMs();
    const { conditions } = this.host;
    this.host.wake();
    const late = () => this.changeIsLate();
    const proposed = await conditions.until(() => this.propose(change), deadlineMs, late);
    await this.finish(proposed, deadlineMs);
  }

  /**
   * Waits until a proposed change is applied and its joint configuration left. After
   * RaftTimeoutError the change may still happen; the next change waits for that too (`settled`).
   */
  async finish(proposed: ProposedChange, deadlineMs = this.changeDeadlineMs()): Promise<void> {
    const { core, conditions } = this.host;
    const isDone = () =>
      proposed.applied() === undefined || isJoint(core.conf) ? undefined : true;
    await conditions.until(isDone, deadlineMs, () => this.changeIsLate());
  }

  changeDeadlineMs(): number {
    return this.host.clock.now() + this.host.limits.changeTimeoutMs;
  }

  changeIsLate(): RaftTimeoutError {
    return new RaftTimeoutError('the membership change', this.host.limits.changeTimeoutMs);
  }

  /** Undefined while it is not possible. */
  propose(change: ConfChange): ProposedChange | undefined {
    const result = this.host.core.proposeConfChange(change);
    if (result.refusal === Refusal.NotLeader) throw new NotLeaderError(this.host.leader());
    if (result.refusal !== undefined) return undefined;
    this.host.proposed(change);
    let applied: Index | undefined;
    let failure: Error | undefined;
    this.host.proposals.add(result.index, result.term, (error, _result, index) => {
      if (error === undefined) applied = index;
      else failure = error;
    });
    return {
      applied: () => {
        if (failure !== undefined) throw failure;
        return applied;
      },
    };
  }
}

/**
 * Returns the voter that could lead soonest: heard lately, with the most of the log. Undefined if
 * no other voter was heard.
 */
export function bestSuccessor(core: RaftCore): MemberId | undefined {
  const candidates = core.conf.voters
    .filter((id) => id !== core.status().id)
    .map((id) => core.memberProgress(id))
    .filter(({ active }) => active);
  candidates.sort((a, b) => b.match - a.match || a.id - b.id);
  return candidates[0]?.id;
}
