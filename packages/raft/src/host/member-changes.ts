import { ConfChangeOp, isVoter } from '../core/conf-change.js';
import { majority } from '../core/quorum.js';
import type { MemberId, MemberInfo } from '../core/types.js';
import { type ChangeHost, ChangeSteps } from './change-steps.js';
import {
  MemberNotFoundError,
  MemberRemovedError,
  OverloadedError,
  RaftTimeoutError,
  RemovalLosesQuorumError,
} from './errors.js';
import { Exclusive } from '../exclusive.js';
import { replaceMember, type Turns } from './member-replacement.js';

/**
 * Membership changes. All of them work on the leader only. What goes into the log goes there one change at a
 * time; while a new member catches up, which takes a minute if it is dead, the others go on.
 */
export class MemberChanges {
  private readonly host: ChangeHost;
  private readonly steps: ChangeSteps;
  private readonly queue = new Exclusive();
  private waiting = 0;

  constructor(host: ChangeHost) {
    this.host = host;
    this.steps = new ChangeSteps(host);
  }

  /**
   * Adds a learner, waits until it has caught up, and makes it a voter. Changes nothing for an
   * existing member. Removes a member that does not catch up in time: nobody else would ever
   * promote or remove it.
   */
  add(info: MemberInfo): Promise<void> {
    return this.admitted(async () => {
      const { steps } = this;
      const { conditions, clock, limits } = this.host;
      if (await this.inTurn(() => this.addLearner(info))) return;
      const deadlineMs = clock.now() + limits.joinTimeoutMs;
      const late = () => steps.stuck(info.id);
      try {
        await conditions.until(() => steps.caughtUp(info.id), deadlineMs, late);
      } catch (error) {
        if (error instanceof RaftTimeoutError) await this.inTurn(() => steps.dropLearner(info.id));
        throw error;
      }
      await this.inTurn(() => this.promote(info.id));
    });
  }

  /** Resolves with true when it is a voter already. */
  private async addLearner(info: MemberInfo): Promise<boolean> {
    const { core, membership } = this.host;
    if (membership.current.removed.includes(info.id)) throw new MemberRemovedError(info.id);
    const isKnown = isVoter(core.conf, info.id) || core.conf.learners.includes(info.id);
    if (isKnown) await this.steps.updateInfo(info);
    else await this.steps.change({ changes: [{ op: ConfChangeOp.AddLearner, id: info.id, info }] });
    return isVoter(core.conf, info.id);
  }

  /** Another call may have promoted or removed it while it waited for its turn. */
  private async promote(id: MemberId): Promise<void> {
    if (isVoter(this.host.core.conf, id)) return;
    this.steps.requireMember(id);
    await this.steps.change({ changes: [{ op: ConfChangeOp.AddVoter, id }] });
  }

  /**
   * Removes a member for good. Changes nothing if it is already removed. The leader cannot remove
   * itself; it hands over instead.
   */
  remove(id: MemberId): Promise<void> {
    return this.alone(async () => {
      const { membership, core } = this.host;
      if (membership.info(id) === undefined) {
        if (membership.current.removed.includes(id)) return;
        throw new MemberNotFoundError(id);
      }
      this.checkQuorumWithout(id);
      if (id === this.host.id) await this.steps.handOver();
      if (isVoter(core.conf, id) || core.conf.learners.includes(id)) {
        await this.steps.change({ changes: [{ op: ConfChangeOp.Remove, id }] });
      }
    });
  }

  /** Puts a new member in an old one's place: see member-replacement.ts. */
  replace(oldId: MemberId, info: MemberInfo): Promise<void> {
    const inTurn: Turns = (job) => this.inTurn(job);
    return this.admitted(() => replaceMember(this.steps, inTurn, oldId, info));
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

  /** Gives a member a new address. */
  update(info: MemberInfo): Promise<void> {
    return this.alone(async () => {
      if (this.host.membership.info(info.id) === undefined) throw new MemberNotFoundError(info.id);
      await this.steps.updateInfo(info);
    });
  }

  /** A call that is one turn. */
  private alone(job: () => Promise<void>): Promise<void> {
    return this.admitted(() => this.inTurn(job));
  }

  private async admitted(job: () => Promise<void>): Promise<void> {
    if (this.waiting >= this.host.limits.maxMemberChanges) throw new OverloadedError();
    this.waiting++;
    try {
      await job();
    } finally {
      this.waiting--;
    }
  }

  /** Runs the job while no other change of the membership is under way. */
  private inTurn<T>(job: () => Promise<T>): Promise<T> {
    return this.queue.run(async () => {
      this.steps.requireLeader();
      // The log may already hold exactly what the caller asks for, and a member not yet heard is
      // not gone.
      if (!this.host.core.confSettled) await this.steps.settled();
      return job();
    });
  }
}
