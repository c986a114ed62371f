import { appended, applied, applyConfChange } from './completion.js';
import { type ConfChange, isJoint } from './conf-change.js';
import type { RaftConfig } from './config.js';
import { CampaignReason, campaign, tickElection } from './election.js';
import { addRead, leaseRemainingMs, tickLeader, transferLeader } from './leader.js';
import { type Message, MessageType } from './message.js';
import { Output } from './output.js';
import { ProgressState } from './progress.js';
import { isBound } from './promise.js';
import { type ProposeResult, propose, proposeConfChange } from './proposal.js';
import { type InitialState, Raft, Role } from './raft.js';
import { broadcastCommit, commitUntold } from './replication.js';
import type { AppendWork, Ready } from './ready.js';
import { type CoreStatus, type MemberProgress, progressOf, statusOf } from './status.js';
import { step } from './step.js';
import { type ConfState, type Index, type MemberId, NOBODY, type Term } from './types.js';

export { type ProposeResult, Refusal } from './proposal.js';
export type { AppendWork, ApplyWork, Ready, SoftState } from './ready.js';
export type { CoreStatus, MemberProgress } from './status.js';

/**
 * The Raft core of one member, modelled on etcd's asynchronous storage. Messages, ticks and
 * completions go in; `ready` says what to send, write and apply. All calls are synchronous, and the
 * same calls give the same results, which lets a simulator replay a run from its seed.
 *
 * The caller must send messages to one member in order (it may lose them), complete writes in the
 * order they were handed out and only when durable, and apply in order.
 */
export class RaftCore {
  private readonly raft: Raft;
  private readonly output: Output;

  /**
   * @throws RaftConfigError
   * @throws RaftFaultError when the recovered state contradicts itself
   */
  constructor(config: RaftConfig, initial: InitialState) {
    this.raft = new Raft(config, initial);
    this.output = new Output(this.raft, initial.hardState);
  }

  // --- Input

  /**
   * Handles a message from a peer. Step a Snapshot when the state machine has installed its state:
   * from then on the member counts it as applied.
   */
  step(message: Message): void {
    if (message.from !== this.raft.id) step(this.raft, message);
  }

  tick(): void {
    this.raft.ticks++;
    if (this.raft.role === Role.Leader) tickLeader(this.raft);
    else tickElection(this.raft);
  }

  /** Starts an election now, as if the leader had been silent. @returns whether it may */
  campaign(): boolean {
    return campaign(this.raft, CampaignReason.Timeout);
  }

  /** Appends one entry for each data: all of them or none. */
  propose(datas: readonly Uint8Array[]): ProposeResult {
    return propose(this.raft, datas);
  }

  /**
   * Proposes a membership change. @throws ConfChangeError when the configuration does not allow it
   */
  proposeConfChange(change: ConfChange): ProposeResult {
    return proposeConfChange(this.raft, change);
  }

  /**
   * Asks for the index at which a read is linearizable. The answer is a read state with the
   * caller's `context`. It may never come, because messages get lost: ask again.
   * @returns false when there is no leader to ask, or too many reads wait
   */
  readIndex(context: number): boolean {
    const { raft } = this;
    if (raft.role === Role.Leader) return addRead(raft, { from: raft.id, context });
    if (raft.leader === NOBODY) return false;
    const { id: from, leader: to, term } = raft;
    raft.send({ type: MessageType.ReadIndex, from, to, term, context });
    return true;
  }

  /**
   * Makes the leader hand over to `to`. A follower can ask the leader to hand over to itself.
   * @returns whether the transfer began
   */
  transferLeader(to: MemberId): boolean {
    const { raft } = this;
    if (raft.role === Role.Leader) return transferLeader(raft, to);
    if (to !== raft.id || raft.leader === NOBODY || !raft.promotable) return false;
    const { id: from, leader, term } = raft;
    raft.send({ type: MessageType.TransferLeader, from, to: leader, term });
    return true;
  }

  /** Gives up leadership, if held: for a host that cannot make its log durable. */
  stepDown(): void {
    this.raft.stepDown();
  }

  /**
   * Makes a follower that knows by other means that its leader is gone take part in the next
   * election at once, instead of defending the leader for an election timeout. It campaigns no
   * sooner itself, and a leader that still leads wins it back with its next message. Has no effect
   * in other roles, or while the leader may count on our promise to defend it (promise.ts).
   */
  forgetLeader(): void {
    if (this.raft.role === Role.Follower && !isBound(this.raft)) this.raft.leader = NOBODY;
  }

  /**
   * Reports that a message to this member was lost: stops running ahead of its answers until one
   * comes.
   */
  reportUnreachable(id: MemberId): void {
    const progress = this.raft.tracker.get(id);
    if (this.raft.role !== Role.Leader || id === this.raft.id) return;
    if (progress?.state === ProgressState.Replicate) progress.becomeProbe();
  }

  /**
   * Reports the outcome of the snapshot ordered for a member. The host must call it in either case.
   */
  reportSnapshot(id: MemberId, ok: boolean): void {
    const progress = this.raft.tracker.get(id);
    if (this.raft.role !== Role.Leader || progress?.state !== ProgressState.Snapshot) return;
    if (ok) progress.becomeProbe();
    else progress.snapshotFailed();
    // The answer to the snapshot, or to a heartbeat, says where to continue.
    progress.pause();
  }

  /**
   * Between this and `endRestore` the host replaces the state machine's state: the core applies
   * nothing and does not campaign.
   */
  beginRestore(): void {
    this.raft.restoring = true;
  }

  /** @param stateIndex the state machine's index afterwards */
  endRestore(stateIndex: Index): void {
    this.raft.restoring = false;
    this.raft.stateIndex = Math.max(this.raft.stateIndex, stateIndex);
  }

  /** True while the state machine or the disk installs a snapshot. */
  get installing(): boolean {
    return this.raft.restoring || this.raft.log.unstable.installing;
  }

  /** Makes a leader tell the members at once what is committed (`RaftConfig.commitNews`). */
  tellCommit(): void {
    if (this.raft.role === Role.Leader) broadcastCommit(this.raft);
  }

  /** Reports whether members wait to be told of a commit. */
  get commitUntold(): boolean {
    return this.raft.role === Role.Leader && commitUntold(this.raft);
  }

  // --- Output

  get hasReady(): boolean {
    return this.output.hasReady;
  }

  /**
   * Returns the work since the last call; undefined without any.
   * @param nowMs a clock that never goes back, read just before this call; the messages must not
   * leave before it. Without it there are no leases.
   */
  ready(nowMs?: number): Ready | undefined {
    return this.output.ready(nowMs);
  }

  // --- Completions

  /** Records that this write, and all handed out before it, are durable. */
  appended(work: AppendWork): void {
    appended(this.raft, work);
  }

  /**
   * Puts the configuration change of a committed entry into effect. Call it while that entry is
   * being applied, before `applied`.
   * @returns the new configuration
   * @throws ConfChangeError when the change is not allowed. Every member fails alike, so the entry
   * has no effect.
   */
  applyConfChange(change: ConfChange): ConfState {
    return applyConfChange(this.raft, change);
  }

  /** Records that everything up to `index` is applied. */
  applied(index: Index): void {
    applied(this.raft, index);
  }

  /** Forgets entries up to `index` in memory. They must be applied, and compacted on disk. */
  compact(index: Index): void {
    this.raft.log.compact(index);
  }

  // --- Questions

  /**
   * Returns the index that leaves `count` applied entries after it, or fewer if they exceed
   * `maxBytes`.
   */
  indexBeforeTail(count: number, maxBytes: number): Index {
    const { log } = this.raft;
    return log.indexBefore(log.applied, count, maxBytes);
  }

  /** Undefined when the entry is compacted or does not exist. */
  termAt(index: Index): Term | undefined {
    return this.raft.log.term(index);
  }

  get role(): Role {
    return this.raft.role;
  }

  get term(): Term {
    return this.raft.term;
  }

  get leader(): MemberId {
    return this.raft.leader;
  }

  get commitIndex(): Index {
    return this.raft.log.commit;
  }

  get appliedIndex(): Index {
    return this.raft.log.applied;
  }

  get lastIndex(): Index {
    return this.raft.log.lastIndex;
  }

  get firstIndex(): Index {
    return this.raft.log.firstIndex;
  }

  get conf(): ConfState {
    return this.raft.tracker.conf;
  }

  /**
   * True once a leader has applied what was there before it, so that it knows the members and has
   * heard a quorum, its log holds no unapplied membership change, and no joint configuration is
   * left to leave.
   */
  get confSettled(): boolean {
    const { log, leadershipIndex, pendingConfIndex } = this.raft;
    return log.applied >= Math.max(leadershipIndex, pendingConfIndex) && !isJoint(this.conf);
  }

  /** Bytes proposed by this leader and not yet committed. */
  get uncommittedBytes(): number {
    return this.raft.uncommittedBytes;
  }

  /** Index of the entry that began this leadership; 0 when not leading. */
  get leadershipIndex(): Index {
    return this.raft.leadershipIndex;
  }

  /** Reports whether this leader heard a quorum within the last election timeout. */
  get quorumActive(): boolean {
    const { raft } = this;
    const since = raft.ticks - raft.config.electionTicks;
    return raft.role === Role.Leader && raft.tracker.quorumActive(raft.id, since);
  }

  /**
   * Returns how long this leader may still serve reads without asking a quorum; 0 when it may not.
   */
  leaseRemainingMs(nowMs: number): number {
    return leaseRemainingMs(this.raft, nowMs);
  }

  /** Read questions that this member, while leading, answered under a lease. */
  get leaseReads(): number {
    return this.raft.leaseReads;
  }

  /** Read questions for which this member, while leading, had to ask a quorum. */
  get quorumReads(): number {
    return this.raft.quorumReads;
  }

  status(): CoreStatus {
    return statusOf(this.raft);
  }

  memberProgress(id: MemberId): MemberProgress {
    return progressOf(this.raft, id);
  }
}
