import { type ConfChange, ConfChangeOp, isJoint } from '../core/conf-change.js';
import { type RaftCore, Refusal } from '../core/raw-node.js';
import type { Index, MemberId, MemberInfo } from '../core/types.js';
import type { Clock } from './clock.js';
import type { Conditions } from './conditions.js';
import { MemberNotFoundError, NotLeaderError, RaftTimeoutError } from './errors.js';
import type { Membership } from './membership.js';
import type { RaftLimits } from './options.js';
import type { Proposals } from './proposals.js';

/** A learner is promoted when it has this part of the leader's log: it would not hold back a commit. */
const CAUGHT_UP_PERCENT = 90;

const STUCK_ADVICE =
  'it was taken out again: see that it runs and is reached, and let it join under a new id';

/** What changes of membership need of the node. */
export interface ChangeHost {
  readonly id: MemberId;
  readonly core: RaftCore;
  readonly membership: Membership;
  readonly proposals: Proposals;
  readonly conditions: Conditions;
  readonly clock: Clock;
  readonly limits: RaftLimits;
  leader(): MemberInfo | undefined;
  /** Looks at the core soon. */
  wake(): void;
  transfer(to: MemberId): Promise<void>;
  /** A change went into the log. */
  proposed(change: ConfChange): void;
}

/** A change that went into the log. */
export interface ProposedChange {
  /** Undefined: not applied yet. @throws why it may never be */
  applied(): Index | undefined;
}

/** What the changes of the membership are made of. All of it works on the leader only. */
export class ChangeSteps {
  readonly host: ChangeHost;

  constructor(host: ChangeHost) {
    this.host = host;
  }

  requireLeader(): void {
    if (this.host.core.role !== 'leader') throw new NotLeaderError(this.host.leader());
  }

  /**
   * Waits until a new leader has heard from a quorum and knows the members, and no change is under way:
   * neither one of an earlier leader that is to be applied yet, nor a joint configuration that is to be left.
   * @throws NotLeaderError, RaftTimeoutError
   */
  async settled(): Promise<void> {
    const { core, conditions, clock, limits } = this.host;
    const ms = limits.changeTimeoutMs;
    const isSettled = () => {
      this.requireLeader();
      return core.confSettled ? true : undefined;
    };
    const late = () => new RaftTimeoutError('the membership change before this one', ms);
    await conditions.until(isSettled, clock.now() + ms, late);
  }

  /** Undefined: not yet. @throws MemberNotFoundError when it is no member any more. */
  caughtUp(id: MemberId): true | undefined {
    const { core } = this.host;
    this.requireLeader();
    // It may have been removed on another member's behalf.
    if (this.host.membership.info(id) === undefined) throw new MemberNotFoundError(id);
    const { match, active } = core.memberProgress(id);
    return active && match * 100 >= core.lastIndex * CAUGHT_UP_PERCENT ? true : undefined;
  }

  /** Why a member that did not catch up by its deadline is none any more. */
  stuck(id: MemberId): RaftTimeoutError {
    const { joinTimeoutMs } = this.host.limits;
    return new RaftTimeoutError(`catching up of member ${id}`, joinTimeoutMs, STUCK_ADVICE);
  }

  /**
   * The next leader removes us: a leader that goes in the middle of its own removal costs an
   * election. Where nobody takes over in time, it does go that way.
   * @throws NotLeaderError that names the new leader, who is to be asked.
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

  /** Proposes a change as soon as the one before it is done, and waits until it is applied. */
  async change(change: ConfChange): Promise<void> {
    const deadlineMs = this.changeDeadlineMs();
    const { conditions } = this.host;
    this.host.wake();
    const late = () => this.changeIsLate();
    const proposed = await conditions.until(() => this.propose(change), deadlineMs, late);
    await this.finish(proposed, deadlineMs);
  }

  /**
   * Waits until a proposed change is applied, and its joint configuration left. After RaftTimeoutError it
   * may still happen; the next change waits for that, too (`settled`).
   */
  async finish(proposed: ProposedChange, deadlineMs = this.changeDeadlineMs()): Promise<void> {
    const { core, conditions } = this.host;
    const isDone = () =>
      proposed.applied() === undefined || isJoint(core.conf) ? undefined : true;
    await conditions.until(isDone, deadlineMs, () => this.changeIsLate());
  }

  private changeDeadlineMs(): number {
    return this.host.clock.now() + this.host.limits.changeTimeoutMs;
  }

  private changeIsLate(): RaftTimeoutError {
    return new RaftTimeoutError('the membership change', this.host.limits.changeTimeoutMs);
  }

  /** Undefined: not possible yet. */
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

/** The voter that could lead soonest: heard lately, the most of the log; undefined if there is none. */
export function bestSuccessor(core: RaftCore): MemberId | undefined {
  const candidates = core.conf.voters
    .filter((id) => id !== core.status().id)
    .map((id) => core.memberProgress(id))
    .filter(({ active }) => active);
  candidates.sort((a, b) => b.match - a.match || a.id - b.id);
  return candidates[0]?.id;
}
