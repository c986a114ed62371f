import { type ConfChange, ConfChangeOp, isJoint, isVoter } from '../core/conf-change.js';
import { majority } from '../core/quorum.js';
import { type RaftCore, Refusal } from '../core/raw-node.js';
import type { Index, MemberId, MemberInfo } from '../core/types.js';
import type { Clock } from './clock.js';
import type { Conditions } from './conditions.js';
import {
  MemberNotFoundError,
  MemberRemovedError,
  NotLeaderError,
  OverloadedError,
  RaftTimeoutError,
  RemovalLosesQuorumError,
} from './errors.js';
import { Exclusive } from './exclusive.js';
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
  proposed(): void;
}

/** Changes of the membership, one at a time. All of them work on the leader only. */
export class MemberChanges {
  private readonly host: ChangeHost;
  private readonly queue = new Exclusive();
  private waiting = 0;

  constructor(host: ChangeHost) {
    this.host = host;
  }

  /**
   * Adds a learner, waits until it has caught up, makes it a voter. Again for a member: no change.
   * One that does not catch up in time is taken out: nobody else would ever promote or remove it.
   */
  add(info: MemberInfo): Promise<void> {
    return this.enqueue(async () => {
      const { core, conditions, clock, limits } = this.host;
      const { conf } = core;
      if (this.host.membership.current.removed.includes(info.id)) {
        throw new MemberRemovedError(info.id);
      }
      if (isVoter(conf, info.id)) {
        await this.updateInfo(info);
        return;
      }
      if (conf.learners.includes(info.id)) await this.updateInfo(info);
      else await this.change({ changes: [{ op: ConfChangeOp.AddLearner, id: info.id, info }] });
      const deadlineMs = clock.now() + limits.joinTimeoutMs;
      const late = () =>
        new RaftTimeoutError(
          `catching up of member ${info.id}`,
          limits.joinTimeoutMs,
          STUCK_ADVICE,
        );
      try {
        await conditions.until(() => this.caughtUp(info.id), deadlineMs, late);
      } catch (error) {
        if (error instanceof RaftTimeoutError) {
          await this.change({ changes: [{ op: ConfChangeOp.Remove, id: info.id }] });
        }
        throw error;
      }
      await this.change({ changes: [{ op: ConfChangeOp.AddVoter, id: info.id }] });
    });
  }

  private caughtUp(id: MemberId): true | undefined {
    const { core } = this.host;
    this.requireLeader();
    // It may have been removed on another member's behalf.
    if (this.host.membership.info(id) === undefined) throw new MemberNotFoundError(id);
    const { match, active } = core.memberProgress(id);
    return active && match * 100 >= core.lastIndex * CAUGHT_UP_PERCENT ? true : undefined;
  }

  /** Removes a member for good. Done already: no change. The leader cannot remove itself but hands over. */
  remove(id: MemberId): Promise<void> {
    return this.enqueue(async () => {
      const { membership, core } = this.host;
      if (membership.info(id) === undefined) {
        if (membership.current.removed.includes(id)) return;
        throw new MemberNotFoundError(id);
      }
      this.checkQuorumWithout(id);
      if (id === this.host.id) await this.handOver();
      if (isVoter(core.conf, id) || core.conf.learners.includes(id)) {
        await this.change({ changes: [{ op: ConfChangeOp.Remove, id }] });
      }
    });
  }

  private checkQuorumWithout(id: MemberId): void {
    const { core } = this.host;
    if (!isVoter(core.conf, id)) return;
    const left = core.conf.voters.filter((voter) => voter !== id);
    const reachable = left.filter((voter) => core.memberProgress(voter).active).length;
    const needed = majority(left.length);
    if (reachable < needed || left.length === 0) {
      throw new RemovalLosesQuorumError(id, reachable, needed);
    }
  }

  /**
   * The next leader removes us: a leader that goes in the middle of its own removal costs an
   * election. Where nobody takes over in time, it does go that way.
   * @throws NotLeaderError that names the new leader, who is to be asked.
   */
  private async handOver(): Promise<void> {
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

  /** A member has a new address. */
  update(info: MemberInfo): Promise<void> {
    return this.enqueue(async () => {
      if (this.host.membership.info(info.id) === undefined) throw new MemberNotFoundError(info.id);
      await this.updateInfo(info);
    });
  }

  private async updateInfo(info: MemberInfo): Promise<void> {
    const known = this.host.membership.info(info.id);
    if (known?.address === info.address && known.nodeId === info.nodeId) return;
    await this.change({ changes: [{ op: ConfChangeOp.Update, id: info.id, info }] });
  }

  private enqueue(job: () => Promise<void>): Promise<void> {
    if (this.waiting >= this.host.limits.maxMemberChanges) {
      return Promise.reject(new OverloadedError());
    }
    this.waiting++;
    return this.queue
      .run(async () => {
        this.requireLeader();
        await job();
      })
      .finally(() => this.waiting--);
  }

  private requireLeader(): void {
    if (this.host.core.role !== 'leader') throw new NotLeaderError(this.host.leader());
  }

  /** Proposes a change as soon as the one before it is done, and waits until it is applied. */
  private async change(change: ConfChange): Promise<void> {
    const { core, conditions, clock, limits } = this.host;
    const deadlineMs = clock.now() + limits.changeTimeoutMs;
    const late = () => new RaftTimeoutError('the membership change', limits.changeTimeoutMs);
    this.host.wake();
    const { applied } = await conditions.until(() => this.propose(change), deadlineMs, late);
    await applied;
    await conditions.until(() => (isJoint(core.conf) ? undefined : true), deadlineMs, late);
  }

  /** Undefined: not possible yet. Wrapped, so that waiting for it is left to the caller. */
  private propose(change: ConfChange): { readonly applied: Promise<Index> } | undefined {
    const result = this.host.core.proposeConfChange(change);
    if (result.refusal === Refusal.NotLeader) throw new NotLeaderError(this.host.leader());
    if (result.refusal !== undefined) return undefined;
    this.host.proposed();
    const applied = new Promise<Index>((resolve, reject) => {
      this.host.proposals.add(result.index, result.term, (error, _result, index) =>
        error === undefined ? resolve(index) : reject(error),
      );
    });
    return { applied };
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
