import {
  type Index,
  type MemberId,
  type MemberInfo,
  NOBODY,
  type SnapshotMeta,
} from '../core/types.js';
import { type Metric, readMetrics } from '../metrics.js';
import { bestSuccessor } from './change-steps.js';
import {
  NotLeaderError,
  OverloadedError,
  RaftStoppedError,
  RaftTimeoutError,
  SnapshotRefusedError,
} from './errors.js';
import type { LeadershipListener, LeadershipState } from './leadership.js';
import { NodeLoop } from './node-loop.js';
import type { RaftNodeOptions } from './options.js';
import type { ProposalDone } from './proposals.js';
import { type Recovery, recover } from './recovery.js';
import type { StateView } from './state-machine.js';
import { type MembersListener, type RaftStatus, statusOf } from './status.js';

export type { MemberStatus, MembersListener, RaftStatus } from './status.js';

const NO_DATA = new Uint8Array(0);

/**
 * One member of a Raft cluster: the pure core with a clock, a disk, a network and a state machine.
 * This class is what its owner uses; node-loop.ts says how it works.
 */
export class RaftNode extends NodeLoop {
  /**
   * Opens the log, starts the transport and takes part.
   * @throws RaftConfigError, StorageCorruptError, StateBehindLogError, or what the storage throws
   */
  static async open(options: RaftNodeOptions): Promise<RaftNode> {
    const recovery = await recover(options);
    const node = new RaftNode(options, recovery);
    node.start();
    return node;
  }

  private constructor(options: RaftNodeOptions, recovery: Recovery) {
    super(options, recovery);
  }

  // --- Proposals and reads

  /**
   * Replicates `data` and applies it here. Resolves with the state machine's result.
   * @throws NotLeaderError, ProposalDroppedError, ProposalTooLargeError, OverloadedError,
   * QuorumLostError: not applied; ProposalUnknownError, RaftStoppedError: perhaps applied
   */
  propose(data: Uint8Array): Promise<{ index: Index; result: unknown }> {
    return new Promise((resolve, reject) => {
      this.submit(data, (error, result, index) =>
        error === undefined ? resolve({ index, result }) : reject(error),
      );
    });
  }

  /** As `propose`, without the cost of a promise. Calls `done` once, possibly at once. */
  submit(data: Uint8Array, done: ProposalDone): void {
    const error = this.stopped ? new RaftStoppedError() : this.queue.refusal(data);
    this.observer.counters.proposals++;
    if (error !== undefined) {
      this.observer.counters.proposalsRefused++;
      done(error, undefined, 0);
      return;
    }
    this.queue.add(data, done);
    this.wake();
  }

  /**
   * Resolves, on any member, when it is safe to read the local state machine: it has applied
   * everything committed before the call.
   * @throws RaftTimeoutError, QuorumLostError, OverloadedError, RaftStoppedError
   */
  readIndex(): Promise<Index> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(new RaftStoppedError());
      if (this.reads.length >= this.limits.maxReads) return reject(new OverloadedError());
      const deadlineMs = this.options.clock.now() + this.limits.readTimeoutMs;
      this.reads.add(deadlineMs, (error, index) =>
        error === undefined ? resolve(index) : reject(error),
      );
      this.wake();
    });
  }

  /**
   * Resolves when everything proposed before is applied here, as proved by an entry of its own.
   * @throws as `propose`
   */
  barrier(): Promise<Index> {
    return new Promise((resolve, reject) => {
      if (this.stopped) return reject(new RaftStoppedError());
      if (this.core.role !== 'leader') return reject(this.noLeadership());
      const done: ProposalDone = (error, _result, index) =>
        error === undefined ? resolve(index) : reject(error);
      this.queue.add(NO_DATA, done);
      this.wake();
    });
  }

  // --- Membership and leadership

  /**
   * Adds a member: as a learner, and as a voter once it has 90 % of the log. Idempotent. Changes
   * wait for each other, but not for a member that catches up.
   * @throws NotLeaderError, MemberRemovedError (also when it is removed meanwhile), RaftTimeoutError
   * (the member was removed again), OverloadedError
   */
  addMember(info: MemberInfo): Promise<void> {
    return this.orStopped(() => this.changes.add(info));
  }

  /**
   * Removes a member for good. A leader asked to remove itself hands over first and then fails with
   * NotLeaderError: ask the new leader.
   * @throws NotLeaderError, MemberNotFoundError, RemovalLosesQuorumError, RaftTimeoutError
   */
  removeMember(id: MemberId): Promise<void> {
    return this.orStopped(() => this.changes.remove(id));
  }

  /** Changes a member's address; never its role. @throws NotLeaderError, MemberNotFoundError */
  updateMember(info: MemberInfo): Promise<void> {
    return this.orStopped(() => this.changes.update(info));
  }

  /**
   * Puts a new member in the place of an old one, which may be dead. The new one must be running
   * and waiting to be contacted. It joins as a learner; when it has 90 % of the log, one joint
   * change makes it a voter and removes the old one for good, so that the number of voters never
   * changes. A learner is replaced by a voter too. After an error, or a crash, repeat the call
   * unchanged, on the current leader: it continues where it was. If `oldId` is already gone, this
   * is `addMember(info)`.
   *
   * A leader that is to be replaced hands over first and then fails with NotLeaderError: ask the
   * new one.
   * @throws NotLeaderError, MemberNotFoundError (`oldId` never was a member), MemberRemovedError (the
   * new id, perhaps meanwhile), MemberExistsError (it is `oldId`, or already a voter),
   * RemovalLosesQuorumError (no majority of the voters is reachable), RaftTimeoutError,
   * OverloadedError; ProposalUnknownError, RaftStoppedError: it may have happened. RaftTimeoutError
   * about a new member that did not catch up within `joinTimeoutMs` means that it is no longer a
   * member and needs another id.
   */
  replaceMember(oldId: MemberId, info: MemberInfo): Promise<void> {
    return this.orStopped(() => this.changes.replace(oldId, info));
  }

  private orStopped(job: () => Promise<void>): Promise<void> {
    return !this.stopped ? job() : Promise.reject(new RaftStoppedError());
  }

  /**
   * Hands leadership to `to`, or to the voter that could take it soonest. A follower can only ask
   * for itself. Resolves when another member is known to lead (a follower: when it leads itself).
   * @throws NotLeaderError, RaftTimeoutError
   */
  async transferLeadership(to?: MemberId): Promise<void> {
    const { core, conditions, options } = this;
    if (this.stopped) throw new RaftStoppedError();
    if (core.role !== 'leader' && to !== options.id) throw new NotLeaderError(this.leaderInfo());
    if (core.role === 'leader' && to === options.id) return;
    const timeoutMs = 2 * this.electionTicks * this.tickMs;
    const late = () => new RaftTimeoutError('the transfer of leadership', timeoutMs);
    const target = to ?? bestSuccessor(core);
    if (target === undefined || !core.transferLeader(target)) throw late();
    this.wake();
    await conditions.until(
      () => (core.leader === target ? true : undefined),
      options.clock.now() + timeoutMs,
      late,
    );
  }

  /**
   * Announces each change of leadership; `isLeader` only once everything committed before is
   * applied. @returns a function that ends the subscription
   */
  onLeadership(listener: LeadershipListener): () => void {
    return this.leadership.listen(listener);
  }

  /** The last state that `onLeadership` announced. A new listener starts from it. */
  get currentLeadership(): LeadershipState {
    return this.leadership.current;
  }

  /**
   * Announces each change of the membership once it is applied. @returns a function that ends the
   * subscription
   */
  onMembers(listener: MembersListener): () => void {
    this.membersListeners.add(listener);
    return () => this.membersListeners.delete(listener);
  }

  // --- Questions

  /** Current status, as the leader or this member knows it. */
  status(): RaftStatus {
    return statusOf(this.core, this.membership, this.leaderInfo(), this.options.clock.now());
  }

  /**
   * Everything this node has counted since it was opened, and its current gauges. README, Metrics.
   */
  metrics(): readonly Metric[] {
    const { core, proposals, reads, writer } = this;
    const { conf } = core;
    return readMetrics(this.observer.counters, {
      term: core.term,
      isLeader: core.role === 'leader',
      hasLeader: core.leader !== NOBODY,
      commit: core.commitIndex,
      applied: core.appliedIndex,
      firstIndex: core.firstIndex,
      lastIndex: core.lastIndex,
      voters: new Set([...conf.voters, ...conf.votersOutgoing]).size,
      learners: conf.learners.length,
      uncommittedBytes: core.uncommittedBytes,
      leaseRemainingMs: core.leaseRemainingMs(this.options.clock.now()),
      readsAnswered: { lease: core.leaseReads, quorum: core.quorumReads },
      queues: {
        proposals: this.queue.length,
        uncommitted: proposals.length,
        inbox: this.inbox.length,
        reads: reads.length,
        writes: writer.length,
      },
      proposalsDone: proposals.ended,
    });
  }

  /**
   * Leader: whether it heard a majority within an election timeout. Other members: whether a leader
   * is known.
   */
  hasQuorum(): boolean {
    return this.core.role === 'leader' ? this.core.quorumActive : this.core.leader !== NOBODY;
  }

  /**
   * Returns the current state with the membership of its index, for a backup. Nothing waits while
   * the caller reads it; the caller releases it. Not a linearizable read by itself: see
   * `readIndex`.
   * @throws RaftStoppedError, SnapshotRefusedError (a snapshot is being installed: try again)
   */
  async view(): Promise<{ readonly meta: SnapshotMeta; readonly view: StateView }> {
    if (this.stopped) throw new RaftStoppedError();
    const view = await this.state.view();
    const meta = this.stopped ? undefined : this.snapshotMeta(view.index);
    if (meta !== undefined) return { meta, view };
    await view.release();
    if (this.stopped) throw new RaftStoppedError();
    throw new SnapshotRefusedError('the log does not know the index of the state yet; try again');
  }

  /** Hands leadership over if it can, within an election timeout, then stops. */
  async close(): Promise<void> {
    if (!this.stopped && this.core.role === 'leader') {
      // Failing to hand over only costs the others an election.
      await this.transferLeadership().catch(() => undefined);
    }
    await this.stop();
  }
}
